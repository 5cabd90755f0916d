module example.com/sluice-oracle

go 1.25.0

// Not below v0.40.0: those before take tampered tiles (CVE-2026-56865) and hashes from a note (CVE-2026-56864).
require golang.org/x/mod v0.40.0
