"""Several ranks on one machine for a test: gloo over loopback, forked, as importing everything anew takes long."""

import os
import socket

import torch.distributed as dist
import torch.multiprocessing as mp


def on_ranks(world_size, function, *args):
    """Calls `function(rank, *args)` in `world_size` processes that a launcher seems to have started."""
    mp.start_processes(_as_rank, (world_size, free_port(), function, args), nprocs=world_size, start_method="fork")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _as_rank(rank, world_size, port, function, args):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    function(rank, *args)
    if dist.is_initialized():
        dist.destroy_process_group()  # else its threads may abort the end of the process
