"""Processes for a test, forked, as importing everything anew takes long: several ranks (gloo over loopback), or one."""

import os
import socket

import torch.distributed as dist
import torch.multiprocessing as mp


def on_ranks(world_size, function, *args):
    """Calls `function(rank, *args)` in `world_size` processes that a launcher seems to have started."""
    mp.start_processes(_as_rank, (world_size, free_port(), function, args), nprocs=world_size, start_method="fork")


def in_fork(function, *args):
    """Calls `function(*args)` in a process of its own. Raises `ProcessExitedException` where that is killed."""
    mp.start_processes(_without_index, (function, args), start_method="fork")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _without_index(index, function, args):
    function(*args)


def _as_rank(rank, world_size, port, function, args):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    function(rank, *args)
    if dist.is_initialized():
        dist.destroy_process_group()  # else its threads may abort the end of the process
