/** Bytes a module zip may have, and bytes its files may unpack to in total: go's own limit (SPEC §5.5). */
export const maxZipBytes = 500 * 1024 * 1024;

/** Bytes of a `go.mod` in the root of a module zip. */
export const maxGoModBytes = 16 * 1024 * 1024;

/** Bytes of a `LICENSE` in the root of a module zip. */
export const maxLicenseBytes = 16 * 1024 * 1024;

/**
 * UTF-8 bytes of a full entry name. Go has no such rule, but no client could unpack a longer one: it is PATH_MAX of Linux.
 * Without it, the cost of checking deep names for collisions would have no bound.
 */
export const maxNameBytes = 4096;

/**
 * Entries, files with the folders they are in, and bytes of the central directory, all far above any real module (the largest
 * have some ten thousand files). Go has no such rule. They bound what a hostile zip can make the reader keep in memory.
 */
export const maxEntries = 500_000;
export const maxPaths = 1_000_000;
export const maxDirectoryBytes = 128 * 1024 * 1024;

/** Entries that unpack to more than this are streamed by `verifyZip`, so that memory stays bounded. */
export const streamedEntryBytes = 16 * 1024 * 1024;
