/** Why a fetch was ended: another source with the same content was quicker. */
export class Outrun extends Error {
  /** Its answer was late; else it was asked because another one's was. */
  readonly wasLate: boolean;

  constructor({ wasLate }: { readonly wasLate: boolean }) {
    super("another source with the same content answered first");
    this.name = "Outrun";
    this.wasLate = wasLate;
  }
}
