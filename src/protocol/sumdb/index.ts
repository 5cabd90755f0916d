export { checkDataTile, formatDataTile, parseDataTile } from "./data-tile.ts";
export { type GosumdbSetting, parseGosumdb } from "./gosumdb.ts";
export { emptyTreeHash, equalHashes, hashRow, nodeHash, recordHash } from "./hashes.ts";
export {
  hashBytes,
  maxDataTileBytes,
  maxLookupBytes,
  maxNoteBytes,
  maxRecordBytes,
  maxTileBytes,
  maxTreeSize,
  tileHeight,
} from "./limits.ts";
export { type LogRequest, lookupPath, parseLogRequest } from "./log-request.ts";
export { type Lookup, formatLookup, parseLookup } from "./lookup.ts";
export { type NoteSigner, type NoteVerifier, generateKey, parseSignerKey, parseVerifierKey } from "./note-key.ts";
export { type OpenedNote, openNote, signNote } from "./note.ts";
export { checkRecord, checkTree, proveRecord, proveTree, recordProofIndexes, treeProofIndexes } from "./proofs.ts";
export { type RecordLine, checkRecordText, findHash, formatRecord, parseRecord } from "./record.ts";
export { storedHashesFor, storedHashIndexesFor, treeHashIndexes, treeHashOf } from "./stored-hashes.ts";
export { type TreeNode, splitStoredHashIndex, storedHashCount, storedHashIndex } from "./stored-index.ts";
export { parseTilePath, tilePath } from "./tile-path.ts";
export { type TilePlan, planTileCheck, planTileReads } from "./tile-plan.ts";
export { type Tile, hashFromTile, newTiles, tileForIndex, tileHashIndexes, tileOfTree } from "./tile.ts";
export { type Tree, formatTree, parseTree } from "./tree.ts";
