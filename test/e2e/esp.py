"""Espressif's formats in Python, for comparison: written from their documentation, not from the code under test."""
# SPDX-License-Identifier: Apache-2.0
import hashlib
import struct
import zlib
from dataclasses import dataclass, field

SECTOR = 0x1000
TABLE_AT = 0x8000
TABLE_LEN = 0xC00
MB = 1 << 20

TYPES = {"app": 0, "data": 1}
SUBTYPES = {
    0: {"factory": 0, "test": 0x20, **{f"ota_{i}": 0x10 + i for i in range(16)}},
    1: {"ota": 0, "phy": 1, "nvs": 2, "coredump": 3, "nvs_keys": 4, "efuse": 5, "undefined": 6, "": 6, "fat": 0x81,
        "spiffs": 0x82},
}

# What `device --create` takes without --partitions.
DEFAULT_CSV = """
nvs,      data, nvs,   0x9000,   0x4000
otadata,  data, ota,   0xd000,   0x2000
phy_init, data, phy,   0xf000,   0x1000
ota_0,    app,  ota_0, 0x10000,  1M
ota_1,    app,  ota_1, 0x110000, 1M
"""


# --- Partition tables ---

@dataclass
class Partition:
    label: str
    type: int
    subtype: int
    at: int
    size: int
    flags: int = 0

    @property
    def end(self):
        return self.at + self.size

    @property
    def is_app(self):
        return self.type == 0

    @property
    def is_otadata(self):
        return (self.type, self.subtype) == (1, 0)

    @property
    def is_slot(self):
        return self.is_app and 0x10 <= self.subtype <= 0x1F

    @property
    def is_factory(self):
        return (self.type, self.subtype) == (0, 0)


def number(text):
    units = {"K": 1024, "M": MB}
    unit = units.get(text[-1:].upper())
    return int(text[:-1], 0) * unit if unit else int(text, 0)


def parse_csv(text):
    """ESP-IDF's CSV: an empty offset is the next one that is aligned, 64 KB for applications."""
    partitions = []
    next_at = TABLE_AT + SECTOR
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        cells = [cell.strip() for cell in line.split(",")] + [""] * 2
        label, kind, subtype, at, size, flags = cells[:6]
        kind = TYPES[kind] if kind in TYPES else int(kind, 0)
        names = SUBTYPES.get(kind, {})
        subtype = names[subtype] if subtype in names else int(subtype, 0)
        align = 0x10000 if kind == 0 else SECTOR
        at = number(at) if at else (next_at + align - 1) // align * align
        bits = {"": 0, "encrypted": 1, "readonly": 2}
        partitions.append(Partition(label, kind, subtype, at, number(size), sum(bits[f] for f in flags.split(":"))))
        next_at = partitions[-1].end
    return partitions


def table_bytes(partitions):
    raw = b"".join(struct.pack("<2sBBLL16sL", b"\xAA\x50", p.type, p.subtype, p.at, p.size, p.label.encode(), p.flags)
                   for p in partitions)
    raw += b"\xEB\xEB" + b"\xFF" * 14 + hashlib.md5(raw).digest()
    return raw.ljust(TABLE_LEN, b"\xFF")


def parse_table(raw):
    partitions = []
    for at in range(0, TABLE_LEN, 32):
        magic, kind, subtype, where, size, label, flags = struct.unpack_from("<2sBBLL16sL", raw, at)
        if magic != b"\xAA\x50":
            break
        partitions.append(Partition(label.rstrip(b"\0").decode(), kind, subtype, where, size, flags))
    return partitions


def flash_size(partitions):
    size = MB
    while size < max(p.end for p in partitions):
        size *= 2
    return size


def fresh_flash(partitions, image):
    """What a device holds that was just flashed: table, one application, blank rest."""
    flash = bytearray(b"\xFF" * flash_size(partitions))
    flash[TABLE_AT:TABLE_AT + TABLE_LEN] = table_bytes(partitions)
    first = [p for p in partitions if p.is_factory] or [p for p in partitions if p.subtype == 0x10 and p.is_app]
    flash[first[0].at:first[0].at + len(image)] = image
    return bytes(flash)


# --- Boot records ---

STATES = {0: "new", 1: "pending", 2: "valid", 3: "invalid", 4: "aborted"}


@dataclass
class Record:
    seq: int
    state: str
    slot: int
    starts: int
    confirmed: bool
    complete: bool


def record_bytes(seq, state):
    """A record as ESP-IDF writes it."""
    raw = struct.pack("<L20sL", seq, b"\xFF" * 20, next(n for n, name in STATES.items() if name == state))
    return raw + struct.pack("<L", zlib.crc32(raw[:4], 0xFFFFFFFF))


def wiped_sector():
    """One without a record, as our bootloader leaves it."""
    return (b"\xFF" * 160 + bytes(4) + b"is all blank").ljust(SECTOR, b"\xFF")


def decode_record(sector, slots):
    """The record in a sector of otadata; None: it is blank. Anything else in it is a ValueError."""
    if sector in (b"\xFF" * SECTOR, wiped_sector()):
        return None
    seq, label, state, crc = struct.unpack_from("<L20sLL", sector)
    marks = [sector[at:at + 16] for at in range(32, 176, 16)]  # ours, as docs/FORMAT.md says
    blank = b"\xFF" * 16
    starts = marks.count(bytes(16))
    confirmed = sector[:4] + b"is confirmed"
    complete = sector[:4] + bytes([~state & 0xFF]) + b"is complete"
    if crc != zlib.crc32(sector[:4], 0xFFFFFFFF):
        raise ValueError(f"sequence {seq} with CRC {crc:08x}")
    if (marks[:3] != [bytes(16)] * starts + [blank] * (3 - starts) or marks[3] not in (confirmed, blank) or
            marks[4:7] != [blank] * 3 or marks[7] not in (complete, blank) or marks[8] != blank):
        raise ValueError("marks that are neither set nor blank")
    if label != b"\xFF" * 20:
        raise ValueError("bytes where a record has none")
    if sector[176:] != b"\xFF" * (SECTOR - 176):
        raise ValueError("bytes behind the record")
    return Record(seq, STATES[state], (seq - 1) % slots, starts, marks[3] == confirmed, marks[7] == complete)


def ruling_record(raw, slots):
    records = [decode_record(raw[at:at + SECTOR], slots) for at in (0, SECTOR)]
    usable = [r for r in records if r and r.state not in ("invalid", "aborted")]
    return max(usable, key=lambda r: r.seq, default=None)


# --- Images ---

@dataclass
class Image:
    chip_id: int
    entry: int
    min_revision: int
    max_revision: int
    length: int
    project: str
    version: str
    secure_version: int
    sha256: str
    segments: list = field(default_factory=list)  # (offset of the data, length, load address)


def text(raw):
    return raw.partition(b"\0")[0].decode()


def parse_image(raw):
    magic, count, _, _, entry = struct.unpack_from("<BBBBL", raw)
    chip_id, _, low, high = struct.unpack_from("<HBHH", raw, 12)
    assert magic == 0xE9 and raw[23] == 1
    at = 24
    segments = []
    for _ in range(count):
        load, length = struct.unpack_from("<LL", raw, at)
        segments.append((at + 8, length, load))
        at += 8 + length
    end = (at + 16) // 16 * 16
    assert hashlib.sha256(raw[:end]).digest() == raw[end:end + 32]
    return Image(chip_id, entry, low, high, end + 32, text(raw[80:112]), text(raw[48:80]),
                 struct.unpack_from("<L", raw, 36)[0], raw[end:end + 32].hex(), segments)


def build_image(version, length=9008, chip_id=5, project="e2e"):
    """A valid image of exactly `length` bytes, a multiple of 16; its content depends on the version."""
    assert length % 16 == 0 and length >= 512
    descriptor = bytearray(256)
    struct.pack_into("<LL", descriptor, 0, 0xABCD5432, 0)
    descriptor[16:48] = version.encode().ljust(32, b"\0")
    descriptor[48:80] = project.encode().ljust(32, b"\0")
    assert len(descriptor) == 256
    code_len = length - 32 - 16 - 24 - 8 - len(descriptor) - 8  # digest, checksum, headers
    code = hashlib.shake_128(version.encode()).digest(code_len)
    raw = build_raw_image([(0x3C000020, bytes(descriptor)), (0x40380000, code)], chip_id)
    assert len(raw) == length
    return raw


def build_raw_image(segments, chip_id, entry=0x40380010, size_mb=4):
    """An image of these (load address, data), of whatever kind; `size_mb` is the flash that its header claims."""
    raw = struct.pack("<BBBBL8xL3xB", 0xE9, len(segments), 2, (size_mb.bit_length() - 1) << 4, entry, 0, 1)
    raw = bytearray(raw)
    struct.pack_into("<HBHH", raw, 12, chip_id, 0, 0, 0xFFFF)
    checksum = 0xEF
    for load, data in segments:
        raw += struct.pack("<LL", load, len(data)) + data
        for byte in data:
            checksum ^= byte
    raw += bytes(15 - len(raw) % 16) + bytes([checksum])
    return bytes(raw + hashlib.sha256(raw).digest())
