"""CSV files of any dialect: their column names, and their rows as text in blocks."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import csv

from crosstower.data.sources.frames import from_arrow
from crosstower.errors import DataError
from crosstower.recipe.csv import Csv
from crosstower.values.addresses.address import Address, Place
from crosstower.values.addresses.remote import input_file

BLOCK_BYTES = 8 << 20
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_SAMPLE_BYTES = 1 << 16
_DELIMITERS = "\t;|"
_lib: Any = pa.lib  # type: ignore[attr-defined] - has no types
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class CsvFile:
    """One file, opened again for each pass.

    Args:
        path: or address; ends with .csv or .tsv, and .gz, .bz2 or .zst where it is compressed.
        dialect: as the recipe has it.

    Raises:
        DataError: a text is not of the encoding.

    """

    def __init__(self, path: Place, dialect: Csv) -> None:
        self.path, self.dialect = path, dialect
        with self._opened() as stream:
            sample = stream.read(_SAMPLE_BYTES)
        self._encoding = dialect.encoding or _MARKS.get(sample[:2], "utf-8")
        text = codecs.getincrementaldecoder(self._encoding)("replace").decode(sample)
        self._delimiter = dialect.delimiter or self._seen(text.partition("\n")[0])
        # A quote after a space does not open a cell for Arrow.
        spaced = rf'{re.escape(self._delimiter)} +"(?!")'
        self._spaced = re.search(spaced, text) is not None

    def names(self) -> list[str]:
        """Return the column names, without spaces around them."""
        return [name.strip() for name in self._raw_names()]

    def frames(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows of some columns in blocks, all cells as text."""
        raw = self._raw_names()
        chosen = {name.strip(): name for name in raw}
        names = [chosen[name] for name in columns]
        with self._read(names) as reader:
            for batch in reader:
                yield self._cells(from_arrow(batch.select(names)), columns)

    def _raw_names(self) -> list[str]:
        with self._read() as reader:
            try:
                return reader.schema.names
            except UnicodeDecodeError as error:
                raise self._undecodable() from error

    def _cells(self, frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        """Return cells without blanks around them; blank ones and markers are missing."""
        frame.columns = list(columns)
        missing = ["", *self.dialect.null_values]
        blank = [c for c in frame.get_columns() if _has_blanks(c)]
        if blank:
            frame = frame.with_columns(c.str.strip_chars() for c in blank)
        if not blank and len(missing) == 1:
            return frame
        return frame.with_columns(pl.when(~pl.all().is_in(missing)).then(pl.all()))

    def _seen(self, header: str) -> str:
        if self.path.name.lower().partition(".tsv")[1]:
            return "\t"
        unquoted = re.sub(r'"[^"]*"', "", header)
        if "," in unquoted:
            return ","
        return next((d for d in _DELIMITERS if d in unquoted), ",")

    def _opened(self) -> Any:
        compression = COMPRESSIONS.get(self.path.suffix.lower())
        if isinstance(self.path, Address):
            source = input_file(self.path)
            return pa.input_stream(source, compression=compression, buffer_size=BLOCK_BYTES)
        return pa.input_stream(str(self.path), compression=compression)

    def _read(self, names: Sequence[str] = ()) -> Any:
        # Everything is read as text: a guessed type would send long ids through floats.
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=list(names),
            strings_can_be_null=True,
            null_values=[""],
        )
        parse = csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True)
        read = csv.ReadOptions(block_size=BLOCK_BYTES)
        stream = self._opened()
        if self._encoding != "utf-8":
            stream = pa.transcoding_input_stream(stream, self._encoding, "utf-8")
        if self._spaced:
            stream = _lib.TransformInputStream(stream, _Unspaced(self._delimiter))
        try:
            return csv.open_csv(stream, read, parse, convert)
        except UnicodeDecodeError as error:
            raise self._undecodable() from error

    def _undecodable(self) -> DataError:
        return DataError(
            f"{self.path}: is not {self._encoding} text; set data.csv.encoding, such as latin-1 or"
            " cp1252"
        )


def _has_blanks(cells: pl.Series) -> bool:
    ends = [cells.str.starts_with(b) | cells.str.ends_with(b) for b in (" ", "\t")]
    return any(bool(end.any()) for end in ends)


class _Unspaced:
    """Drops the spaces between a delimiter and a quote from blocks of bytes."""

    def __init__(self, delimiter: str) -> None:
        mark = re.escape(delimiter.encode())
        self._pattern = re.compile(mark + rb' +(?="(?!"))')
        self._tail = re.compile(mark + rb' *"?\Z')
        self._delimiter, self._held = delimiter.encode(), b""

    def __call__(self, block: Any) -> bytes:
        """Return a block; its end waits for the next where a match may continue."""
        end = not len(block)
        data = self._held + bytes(block)
        tail = None if end else self._tail.search(data)
        cut = len(data) if tail is None else tail.start()
        self._held = data[cut:]
        return self._pattern.sub(self._delimiter, data[:cut])
