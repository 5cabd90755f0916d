// Tests talk to loopback servers they started and to nothing else, so whatever the developer's shell says about Go,
// git, proxies or Sluice must not reach them.
for (const name of Object.keys(process.env)) {
  if (/^(GO[A-Z]+|GIT_.*|SLUICE_.*|(https?|no|all)_proxy)$/i.test(name) && !name.startsWith("SLUICE_TEST_")) {
    delete process.env[name];
  }
}
