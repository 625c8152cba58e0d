"""Archives, as upstream's and those of others."""

import io
import tarfile
import zipfile
from functools import cache
from random import Random

from tests.fuzzing.images import image_bytes
from tests.fuzzing.mutations import changed_bytes
from tests.fuzzing.surface import surface
from toolkit.sources.published.tars import read_tar
from toolkit.sources.published.zips import read_zip

MEMBERS = {f"images/{number}.png": image_bytes("PNG") for number in range(3)}
TARS = [(format, mode) for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT) for mode in ("w", "w", "w:gz", "w:xz")]


@cache
def tar_bytes(format: int, mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=format) as tar:  # type: ignore[call-overload]
        for name, data in MEMBERS.items():
            for long in ("", "x" * 120):
                info = tarfile.TarInfo(long + name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("images/link.png")
        link.type, link.linkname = tarfile.LNKTYPE, "images/0.png"
        tar.addfile(link)
    data = file.getvalue()
    return data[:4] + bytes(4) + data[8:] if mode == "w:gz" else data  # without the time of day


@cache
def zip_bytes() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in MEMBERS.items():
            archive.writestr(
                zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED
            )  # of no day, so that it is always the same
    return file.getvalue()


def changed_tar(dice: Random) -> bytes:
    return changed_bytes(tar_bytes(*dice.choice(TARS)), dice)


@surface(changed_tar)
def tar(data: bytes) -> str:
    return "equal" if {*tar_members(data)} <= true_members() else "other bytes"


def tar_members(data: bytes) -> list[tuple[str, bytes]]:
    return [(member.name, member.data) for member in read_tar(io.BytesIO(data), "a.tar")]


@cache
def true_members() -> set[tuple[str, bytes]]:
    return {*tar_members(tar_bytes(*TARS[0]))}


@surface(lambda dice: changed_bytes(zip_bytes(), dice))
def zipped(data: bytes) -> str:
    found = [(member.name, member.data) for member in read_zip(io.BytesIO(data), "a.zip")]
    return "equal" if all(each in MEMBERS.items() for each in found) else "other bytes"
