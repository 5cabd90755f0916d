/**
 * Records that a log can have here. All of its stored hash indexes are exact then: the last one of a full log is
 * `Number.MAX_SAFE_INTEGER` - 1.
 */
export const maxTreeSize = 2 ** 52;

/** Height of the tiles that go asks for, and the only ones a log is read in. */
export const tileHeight = 8;

/** Bytes of a hash. */
export const hashBytes = 32;

/** Bytes of one record's text. Real ones have about 200; a module path that fits into a URL makes no more than this. */
export const maxRecordBytes = 32 * 1024;

/** Bytes of a signed tree. Real ones have about 200; a hundred signatures fit. */
export const maxNoteBytes = 64 * 1024;

/** Bytes of an answer to a lookup: number, record, note. */
export const maxLookupBytes = 32 + maxRecordBytes + maxNoteBytes;

/** Bytes of a tile of hashes of the height that go asks for. */
export const maxTileBytes = hashBytes * 2 ** tileHeight;

/** Bytes of a tile of records of that height. */
export const maxDataTileBytes = (maxRecordBytes + 1) * 2 ** tileHeight;
