/** What kind of rule of Go modules some input broke. */
export type ProtocolErrorCode =
  | "malformed_path"
  | "malformed_version"
  | "malformed_request"
  | "malformed_pattern"
  | "malformed_info"
  | "malformed_gomod"
  | "malformed_gosum"
  | "malformed_zip"
  | "zip_too_large"
  | "malformed_gosumdb"
  | "malformed_key"
  | "malformed_note"
  /** No known key has signed the note, or the signature in the name of one is wrong. */
  | "untrusted_note"
  | "malformed_tree"
  | "malformed_record"
  | "malformed_tile"
  /** A number that no log has: negative, no integer, or beyond what is exact. */
  | "malformed_index"
  /** Hashes that do not lead to the tree they are to belong to. */
  | "invalid_proof";

/** The one error that `protocol/` throws on bad input. The message is in go's own wording where go has one. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
