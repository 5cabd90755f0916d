export { checkFiles, type CheckedFiles, type FileProblem, type SourceFile } from "./check-files.ts";
export { hash1, hashGoMod, hashZip, parseH1, verifyZip } from "./hash.ts";
export { maxZipBytes } from "./limits.ts";
export type { ZipModule } from "./module-version.ts";
export { randomAccess, type RandomAccess } from "./random-access.ts";
export { readZip, type ModuleZip, type ZipEntry } from "./reader.ts";
export { createHashedZip, createZip, type HashedZip } from "./writer.ts";
