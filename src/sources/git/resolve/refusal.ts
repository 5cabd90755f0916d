/**
 * The repository was read, and its answer is no. The message is go's own, with module path and version in front where go
 * writes them. Failures of host, disk and time are no refusals.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
}

/** `P@V: invalid version: …` */
export function invalidVersion(modulePath: string, version: string, reason: string): Refusal {
  return new Refusal(`${modulePath}@${version}: invalid version: ${reason}`);
}

/** `P@V: invalid pseudo-version: …` */
export function invalidPseudoVersion(modulePath: string, version: string, reason: string): Refusal {
  return new Refusal(`${modulePath}@${version}: invalid pseudo-version: ${reason}`);
}
