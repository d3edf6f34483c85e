"""Sound files as arrays: WAV by SciPy, which is there; all others by torchcodec, which may not be."""

import io
import os
import struct
from math import gcd
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

__all__ = ["read_sound", "resampled"]


def read_sound(path: str | os.PathLike | None, content: bytes | None, sampling_rate: int) -> np.ndarray:
    """Gives a sound as one channel, at the rate that is asked for.

    Args:
        path: Of the file; where there is `content`, only for messages.
        content: The bytes of the file; None: they are read.
        sampling_rate: Samples a second.

    Returns:
        (T,) float32, mostly within -1 .. 1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no sound, or an empty one.
        RuntimeError: It is no WAV file, and torchcodec is not installed.
    """
    name = "a sound in the data set" if path is None else str(path)
    if content is None:
        if not os.path.isfile(name):
            raise FileNotFoundError(f"There is no sound {name}.")
        content = Path(name).read_bytes()
    sound = _by_scipy(content, name, sampling_rate) if content[:4] in (b"RIFF", b"RIFX", b"RF64") else None
    if sound is None:
        sound = _by_torchcodec(content, name, sampling_rate)
    if not len(sound):
        raise ValueError(f"{name} must be a sound, it has no samples.")
    return np.ascontiguousarray(sound, dtype=np.float32)


def resampled(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Gives a sound at another rate.

    Args:
        sound: (T,).
        rate: Samples a second that it has.
        wanted: Samples a second that it is to have.

    Returns:
        (T * wanted / rate,), rounded up.

    >>> resampled(np.zeros(8000), 8000, 16000).shape
    (16000,)
    """
    common = gcd(rate, wanted)
    return sound if rate == wanted or not len(sound) else resample_poly(sound, wanted // common, rate // common)


def _by_scipy(content: bytes, name: str, sampling_rate: int) -> np.ndarray | None:
    """None where it is of a kind of WAV that SciPy does not read."""
    try:
        rate, samples = wavfile.read(io.BytesIO(content))
    except (EOFError, struct.error) as error:
        raise ValueError(f"{name} must be a sound, it ends too early: {error or 'no data'}.") from None
    except ValueError:
        return None
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float64) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples / -float(np.iinfo(samples.dtype).min)
    mono = samples if samples.ndim == 1 else samples.mean(1)  # (T,) or (T, channels) -> (T,)
    return resampled(mono, rate, sampling_rate)


def _by_torchcodec(content: bytes, name: str, sampling_rate: int) -> np.ndarray:
    try:
        from torchcodec.decoders import AudioDecoder
    except (ImportError, OSError, RuntimeError) as error:  # it is there, but its FFmpeg is not
        raise RuntimeError(
            f"{name} is no WAV file that can be read without torchcodec, which cannot be imported: "
            f"{str(error).splitlines()[0]}. Install torchcodec (and FFmpeg), or convert the sounds to WAV."
        ) from None
    try:
        samples = AudioDecoder(content, sample_rate=sampling_rate, num_channels=1).get_all_samples()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be a sound, torchcodec says: {error}.") from None
    return samples.data[0].numpy()
