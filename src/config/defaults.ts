/**
 * Where Go itself asks when GOPROXY is unset: Go's public module mirror, then the repositories (SPEC §1.7). This is the one
 * place in Sluice that names the mirror.
 */
export const goDefaultProxy = "https://proxy.golang.org,direct";

/** What Go compares with when GOSUMDB is unset (SPEC §6.2). */
export const goDefaultSumdb = "sum.golang.org";
