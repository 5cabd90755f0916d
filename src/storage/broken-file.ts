/** Stored content is not what it must be. Stays inside storage/: whoever asked is answered that the file is not stored. */
export class BrokenFile extends Error {
  override readonly name = "BrokenFile";
}
