import os
import struct
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from tests.errors import message_of
from transformers import Wav2Vec2FeatureExtractor

from squared_emd.data.sounds import AudioCollator, audio_decoder, decode_audio

RATE = 8000


def tone(path, seconds=0.2, channels=1, **options):
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)  # (T,)
    soundfile.write(path, np.stack([samples] + [np.zeros_like(samples)] * (channels - 1), axis=1), RATE, **options)
    return path


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [("t.wav", "PCM_16", 2**-15), ("t.wav", "FLOAT", 1e-7), ("t.wav", "PCM_U8", 2**-7), ("t.flac", "PCM_24", 2**-23)],
)
def test_a_tone_comes_out_as_it_went_in(name, subtype, tolerance, tmp_path):
    path = tone(tmp_path / name, subtype=subtype)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(1600) / RATE)
    assert decode_audio(path, RATE) == pytest.approx(expected, abs=tolerance)
    content = {"path": None, "bytes": path.read_bytes()}
    np.testing.assert_array_equal(decode_audio(content, RATE), decode_audio(path, RATE))
    assert decode_audio(content, RATE).dtype == np.float32


def test_channels_are_averaged(tmp_path):
    stereo, mono = tone(tmp_path / "s.wav", channels=2), tone(tmp_path / "m.wav")
    np.testing.assert_allclose(decode_audio(stereo, RATE), decode_audio(mono, RATE) / 2, atol=1e-7)


def test_another_rate_keeps_the_pitch(tmp_path):
    path = tone(tmp_path / "t.wav", seconds=1)
    sound = decode_audio(path, 16000)
    assert sound.shape == (16000,)
    assert np.abs(np.fft.rfft(sound)).argmax() == 440  # Hz, because the sound lasts one second
    (cut,) = audio_decoder(16000, 0.1)({"audio": [str(path)]})["audio"]
    np.testing.assert_array_equal(cut, sound[:1600])


def changed(path, start, value):
    """A tone whose header is another."""
    content = bytearray(tone(path).read_bytes())
    content[start : start + len(value)] = value
    path.write_bytes(content)
    return path


def test_errors(tmp_path):
    """What is wrong with a sound, and what to do; one that is not there is an error of its own."""
    soundfile.write(tmp_path / "loud.wav", np.array([0.0, np.inf]), RATE, subtype="FLOAT")
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "raw.raw").write_bytes(bytes(100))
    rates = (1, 999, 768_001, 2**31 - 1)
    impossible = "a sound must have 1000 to 768000 samples per second, its header says"
    for sound, reason in (
        (tone(tmp_path / "e.wav", seconds=0), "it has no samples."),
        (tmp_path / "loud.wav", "it has samples that are NaN or infinite."),
        (tmp_path / "pipe.wav", "it is not a regular file."),
        (tmp_path / "raw.raw", ""),
        ({"path": "a.mp3", "bytes": b"ID3 of no use"}, ""),
        *((changed(tmp_path / f"{rate}.wav", 24, struct.pack("<I", rate)), f"{impossible} {rate}.") for rate in rates),
    ):
        name = sound["path"] if isinstance(sound, dict) else sound
        message = message_of(ValueError, decode_audio, sound, RATE)
        assert message.startswith(f"{name} cannot be decoded: {reason}")
        assert message.endswith(". Repair it, or convert it to WAV, FLAC, Ogg or MP3.")
    with pytest.raises(FileNotFoundError, match=r"no\.wav"):
        decode_audio(tmp_path / "no.wav", RATE)


def test_headers_that_claim_too_much(tmp_path):
    """They are refused, or read no further than the file goes, in little memory and time."""
    expected = decode_audio(tone(tmp_path / "t.wav"), RATE)
    np.testing.assert_array_equal(decode_audio(changed(tmp_path / "size.wav", 40, b"\xff" * 4), RATE), expected)
    # The last 36 of 64 bits after the ten bytes of block and frame sizes say how many samples there are.
    claim = changed(tmp_path / "count.flac", 22, b"\xff" * 4)
    tracemalloc.start()
    with suppress(ValueError):
        assert len(decode_audio(claim, RATE)) == len(expected)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_no_sound_is_read_further_than_needed(tmp_path):
    path = tone(tmp_path / "long.wav", seconds=30)
    whole = decode_audio(path, 11025)
    tracemalloc.start()
    np.testing.assert_array_equal(decode_audio(path, 11025, 0.5), whole[: 11025 // 2])
    assert tracemalloc.get_traced_memory()[1] < 2**19  # the sound takes 2**20
    tracemalloc.stop()


def test_a_sound_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as archive:
        archive.write(tone(tmp_path / "t.wav"), "t.wav")
    archived = {"path": f"zip://t.wav::{tmp_path / 'sounds.zip'}", "bytes": None}
    np.testing.assert_array_equal(decode_audio(archived, RATE), decode_audio(tmp_path / "t.wav", RATE))


def test_batches_are_padded():
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=100, do_normalize=False, return_attention_mask=False)
    rows = [{"audio": [1.0] * 3, "label": 0}, {"audio": [2.0] * 12, "label": 1}]
    batch = AudioCollator(extractor)(rows)
    assert batch["labels"].tolist() == [0, 1]
    assert batch["input_values"].tolist() == [[1.0] * 3 + [0.0] * 9, [2.0] * 12]
    assert AudioCollator(extractor, min_seconds=0.2)(rows[:1])["input_values"].shape == (1, 20)
