/** A file for a team, as docs/config.md shows it. A test loads it. */
export const exampleConfig = `
# /etc/sluice/sluice.toml, used by: sluice serve --config /etc/sluice/sluice.toml
# What is not here keeps its default.

[server]
# All addresses of this machine; the default is reachable from this machine only.
listen = ":3000"
# The front end whose X-Forwarded-For and X-Forwarded-Proto are true.
trusted_proxies = ["10.1.2.3", "10.8.0.0/16"]

[store]
data_dir = "/var/lib/sluice"
memory = "1GiB"

[freshness]
# A new tag is seen after at most this long.
ttl = "30s"

[upstream]
# The company's own proxy first. The public one when that does not have a module (",") or fails ("|"), and nothing after it.
chain = "https://modules.corp.example.com/go|https://proxy.example.com,off"
# Module paths whose names must not leave for any upstream.
no_proxy = "git.corp.example.com/*,*.secret.example.com"

[[upstream.override]]
url = "https://modules.corp.example.com/go"
username = "sluice"
# Holds the token and nothing else. Relative paths count from this file.
password_file = "upstream-token"
ca_file = "corp-ca.pem"
# This server says 403 for modules that it does not have.
not_found_status = [403]
first_byte_timeout = "20s"

# Modules of the company come from its own git host; the key is one that may only read.
[[private]]
pattern = "git.corp.example.com"
credential = { kind = "ssh", file = "id_ed25519", known_hosts = "known_hosts" }

[[private]]
pattern = "github.com/corp-example/*"
credential = { env = "GITHUB_TOKEN" }

[log]
level = "info"
format = "json"
`;
