import sys

import numpy as np
import pytest
import soundfile
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


def test_errors(tmp_path, monkeypatch):
    def refused(kind, sound):
        with pytest.raises(kind) as caught:
            decode_audio(sound, RATE)
        return str(caught.value)

    absent = tmp_path / "no.wav"
    assert refused(FileNotFoundError, absent) == f"There is no sound {absent}."
    empty = tone(tmp_path / "e.wav", seconds=0)
    assert refused(ValueError, empty) == f"{empty} must be a sound, it has no samples."
    message = refused(ValueError, {"path": "a.mp3", "bytes": b"ID3 of no use"})
    assert message.startswith("a.mp3 must be a sound that libsndfile decodes: ")
    assert message.endswith("Convert it to WAV, FLAC, Ogg or MP3.")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert refused(ImportError, empty) == (
        'squared_emd.data.sounds needs soundfile, which is not installed: pip install "squared-emd[recipes]"'
    )


def test_batches_are_padded():
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=100, do_normalize=False, return_attention_mask=False)
    rows = [{"audio": [1.0] * 3, "label": 0}, {"audio": [2.0] * 12, "label": 1}]
    batch = AudioCollator(extractor)(rows)
    assert batch["labels"].tolist() == [0, 1]
    assert batch["input_values"].tolist() == [[1.0] * 3 + [0.0] * 9, [2.0] * 12]
    assert AudioCollator(extractor, min_seconds=0.2)(rows[:1])["input_values"].shape == (1, 20)
