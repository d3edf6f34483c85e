"""What the tests of datasets share: the files of a folder, and small images."""

from PIL import Image

ADVICE = "Give another folder, or move that one away."


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_jpeg(path, size=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((size, size), 60).convert("RGB").save(path, "JPEG")
    return path
