module example.com/sluice-oracle

go 1.25.0

// Not below v0.40.0: the tlog of those before takes tampered tiles.
require golang.org/x/mod v0.40.0
