import { describe, expect, it } from "vitest";
import { load, type Input } from "../../test/support/config.ts";

const upstream =
  '[upstream]\nchain = "https://proxy.example.com/go"\n[[upstream.override]]\nurl = "https://proxy.example.com/go"\n';
const rule = '[[private]]\npattern = "git.corp.example/team"\n';
const elsewhere = '[[git.override]]\npattern = "git.corp/**"\n';
const notADuration = 'is not a duration; write a number with a unit, such as "250ms", "60s", "10m" or "24h"';
const notASize = 'is not a size; write a number with a unit, such as "512KiB", "256MiB" or "1GiB"';
const notAnAddress = "is not an address to listen on; write host:port, such as 127.0.0.1:3000, [::1]:3000 or :3000";

const mistakes: readonly (readonly [input: Input, sentence: string])[] = [
  // Where a value comes from
  [{ flags: { listen: "x" } }, `--listen "x" ${notAnAddress}`],
  [{ env: { SLUICE_LISTEN: "x" } }, `SLUICE_LISTEN="x" ${notAnAddress}`],
  [{ env: { SLUICE_SERVER_LISTEN: "x" } }, `SLUICE_SERVER_LISTEN="x" ${notAnAddress}`],
  [{ file: '\n[server]\nlisten = "x"' }, `conf/sluice.toml:3: [server] listen = "x" ${notAnAddress}`],
  [{ file: 'server.listen = "x"' }, `conf/sluice.toml:1: [server] listen = "x" ${notAnAddress}`],
  [{ file: 'server = { listen = "x" }' }, `conf/sluice.toml:1: [server] listen = "x" ${notAnAddress}`],
  [
    { env: { SLUICE_LISTEN: ":1", SLUICE_SERVER_LISTEN: ":2" } },
    "SLUICE_LISTEN and SLUICE_SERVER_LISTEN are the same setting with two values; unset SLUICE_SERVER_LISTEN",
  ],
  // Names
  [
    { env: { SLUICE_LISTN: "x" } },
    "SLUICE_LISTN in the environment is no setting of Sluice; did you mean SLUICE_LISTEN?",
  ],
  [
    { env: { SLUICE_PORT: "3000" } },
    "SLUICE_PORT in the environment is no setting of Sluice; did you mean SLUICE_LISTEN?",
  ],
  [
    { env: { SLUICE_GOPROXY: "x" } },
    "SLUICE_GOPROXY in the environment is no setting of Sluice; did you mean SLUICE_UPSTREAM_CHAIN?",
  ],
  [{ env: { SLUICE_TURBO: "x" } }, "SLUICE_TURBO in the environment is no setting of Sluice; unset it"],
  [{ file: "[sever]" }, "conf/sluice.toml:1: [sever] is not known; did you mean [server]?"],
  [
    { file: "[turbo]" },
    "conf/sluice.toml:1: [turbo] is not known; the tables are [server], [store], [bucket], [freshness], [fetch], [upstream], [git], [database], [sumdb], [access], [limits], [redis], [admin], [drill], [log], [[private]]",
  ],
  [{ file: "[privat]" }, "conf/sluice.toml:1: [privat] is not known; did you mean [[private]]?"],
  [{ file: 'listen = ":1"' }, "conf/sluice.toml:1: listen is not known; it belongs below [server]"],
  [{ file: "server = 1" }, "conf/sluice.toml:1: server is not a table; write [server] and its settings below it"],
  [{ file: "[[server]]" }, "conf/sluice.toml: server is not a table; write [server] and its settings below it"],
  [{ file: '[server]\nlisen = ":1"' }, "conf/sluice.toml:2: [server] has no lisen; did you mean listen?"],
  [{ file: "[server]\nport = 1" }, "conf/sluice.toml:2: [server] has no port; did you mean listen?"],
  [{ file: '[server]\nttl = "1s"' }, "conf/sluice.toml:2: [server] has no ttl; it belongs below [freshness]"],
  [
    { file: "[log]\ncolour = true" },
    "conf/sluice.toml:2: [log] has no colour; its settings are level, format, requests",
  ],
  [
    { file: `${upstream}password = "hunter2"` },
    "conf/sluice.toml:5: [[upstream.override]] has no password; did you mean password_file?",
  ],
  // Who may ask
  [
    { file: '[access]\ndeny_modules = "a.example, b.example"' },
    'conf/sluice.toml:2: [access] deny_modules = "a.example, b.example" has a blank in the pattern " b.example", which then matches nothing; separate patterns by a comma alone',
  ],
  [
    { file: '[access]\nallow_networks = ["10.0.0.0/33"]' },
    'conf/sluice.toml:2: [access] allow_networks = "10.0.0.0/33" is not an address or range; write an IP or CIDR, such as 10.0.0.0/8 or ::1',
  ],
  [
    { file: "[limits]\nrequests_per_second = 100\nburst = 10" },
    "conf/sluice.toml:3: [limits] burst = 10 is less than requests_per_second (100), which then cannot be reached; write at least that, or leave it out",
  ],
  // The shared database
  [
    { env: { SLUICE_DATABASE_URL: "mysql://u:hunter2@db/x" } },
    "SLUICE_DATABASE_URL is not the URL of a PostgreSQL database; write it like postgres://sluice@db.example.com/sluice, in a password / as %2F, @ as %40, # as %23, ? as %3F and % as %25",
  ],
  [
    { file: '[database]\nurl = "postgres://u:hunter2/@db/x"' },
    "conf/sluice.toml:2: [database] url is not the URL of a PostgreSQL database; write it like postgres://sluice@db.example.com/sluice, in a password / as %2F, @ as %40, # as %23, ? as %3F and % as %25",
  ],
  [
    { file: '[database]\nurl = "postgres://db/x?sslmode=full"' },
    "conf/sluice.toml:2: [database] url has an sslmode that is none; write one of disable, allow, prefer, require, verify-ca, verify-full",
  ],
  [
    { file: '[database]\nurl = "postgres://db/x?sslrootcert=/ca.pem"' },
    "conf/sluice.toml:2: [database] url has the parameter sslrootcert; write ca_file instead",
  ],
  [
    { file: '[database]\nurl_file = "gone"' },
    'conf/sluice.toml:2: [database] url_file = "/srv/app/conf/gone" does not exist; check the path',
  ],
  [
    {
      file: '[database]\nurl = "postgres://u:p@db/x"\npassword_file = "password"',
      files: { "/srv/app/conf/password": "hunter2\n" },
    },
    "conf/sluice.toml:3: [database] password_file stands beside a password in the URL; keep one of them",
  ],
  [
    {
      file: '[database]\nurl = "postgres://db/x"\nca_file = "ca"',
      files: { "/srv/app/conf/ca": "no certificate" },
    },
    'conf/sluice.toml:3: [database] ca_file = "/srv/app/conf/ca" holds no certificate in PEM form',
  ],
  // The file itself
  [
    { env: { SLUICE_CONFIG: "gone.toml" } },
    'the configuration file "gone.toml" (SLUICE_CONFIG) does not exist; check the path',
  ],
  [{ file: "[server]\nlisten = \n" }, "conf/sluice.toml:2: this is not TOML: invalid value"],
  // Values
  [{ file: "[server]\nlisten = 3000" }, "conf/sluice.toml:2: [server] listen = 3000 is not text; write it in quotes"],
  [{ flags: { listen: "127.0.0.1" } }, `--listen "127.0.0.1" ${notAnAddress}`],
  [{ flags: { listen: "127.0.0.1:65536" } }, `--listen "127.0.0.1:65536" ${notAnAddress}`],
  [{ flags: { listen: "127.0.0.256:1" } }, `--listen "127.0.0.256:1" ${notAnAddress}`],
  [{ flags: { listen: "::1:3000" } }, `--listen "::1:3000" ${notAnAddress}`],
  [{ flags: { listen: "[::g]:3000" } }, `--listen "[::g]:3000" ${notAnAddress}`],
  [{ flags: { listen: "http://127.0.0.1:3000" } }, `--listen "http://127.0.0.1:3000" ${notAnAddress}`],
  [
    { flags: { "base-path": "go" } },
    '--base-path "go" is not a base path; write it like /go: a slash first, then letters, digits and . _ ~ - between slashes',
  ],
  [
    { flags: { "base-path": "/a/../b" } },
    '--base-path "/a/../b" is not a base path; write it like /go: a slash first, then letters, digits and . _ ~ - between slashes',
  ],
  [
    { flags: { "trusted-proxies": "10.0.0.0/8,10.0.0.0/33" } },
    '--trusted-proxies "10.0.0.0/33" is not an address or range; write an IP or CIDR, such as 10.0.0.0/8 or ::1',
  ],
  [
    { file: '[server]\ntrusted_proxies = ["front-end"]' },
    'conf/sluice.toml:2: [server] trusted_proxies = "front-end" is not an address or range; write an IP or CIDR, such as 10.0.0.0/8 or ::1',
  ],
  [
    { file: '[server]\ntrusted_proxies = "::1"' },
    'conf/sluice.toml:2: [server] trusted_proxies = "::1" is not a list; write ["10.0.0.0/8"]',
  ],
  [{ flags: { ttl: "60" } }, `--ttl "60" ${notADuration}`],
  [{ file: "[freshness]\nttl = 60" }, `conf/sluice.toml:2: [freshness] ttl = 60 ${notADuration}`],
  [{ flags: { ttl: "25d" } }, '--ttl "25d" is longer than the 24 days a timer can wait'],
  [{ env: { SLUICE_FETCH_TOTAL_TIMEOUT: "0s" } }, 'SLUICE_FETCH_TOTAL_TIMEOUT="0s" is too short; write at least "1ms"'],
  [{ flags: { memory: "256MB" } }, `--memory "256MB" ${notASize}`],
  [{ file: "[store]\nmemory = 256" }, `conf/sluice.toml:2: [store] memory = 256 ${notASize}`],
  [
    { file: '[store]\nmax_size = "1GiB"\n[bucket]\nurl = "s3://modules"' },
    "conf/sluice.toml:2: [store] max_size is for a data folder that has everything; with a bucket set disk_cache_size, and let the bucket's own rules keep it small",
  ],
  [
    { file: '[store]\nscrub_rate = "0B"' },
    'conf/sluice.toml:2: [store] scrub_rate = "0B" is too small; write at least "1024B"',
  ],
  [
    { env: { SLUICE_UPSTREAM_CONCURRENCY: "many" } },
    'SLUICE_UPSTREAM_CONCURRENCY="many" is not a whole number from 1 to 10000',
  ],
  [
    { env: { SLUICE_UPSTREAM_CONCURRENCY: "0" } },
    "SLUICE_UPSTREAM_CONCURRENCY=0 is not a whole number from 1 to 10000",
  ],
  [
    { file: "[upstream]\nmax_waiting = 1.5" },
    "conf/sluice.toml:2: [upstream] max_waiting = 1.5 is not a whole number of at least 1",
  ],
  [
    { env: { SLUICE_UPSTREAM_HEALTH_PATH: "https://proxy.example.com/healthz" } },
    'SLUICE_UPSTREAM_HEALTH_PATH="https://proxy.example.com/healthz" is not a path below the upstream\'s URL; write it like healthz, or leave it empty for none',
  ],
  [{ env: { SLUICE_LOG_REQUESTS: "maybe" } }, 'SLUICE_LOG_REQUESTS="maybe" is not a yes or no; write true or false'],
  [{ flags: { "log-format": "xml" } }, '--log-format "xml" is not one of its values; write auto, json or pretty'],
  [{ flags: { "data-dir": "" } }, '--data-dir "" is empty; write the path of a file or folder'],
  [
    { file: '[store]\ndata_dir = "~/x"' },
    'conf/sluice.toml:2: [store] data_dir = "~/x" begins with ~, which only a shell knows; write the whole path',
  ],
  // Values that must fit together
  [
    { env: { SLUICE_SERVER_MAX_URL_BYTES: "20000" } },
    "SLUICE_SERVER_MAX_URL_BYTES=20000 is not below max_header_bytes (16384), which the URL is a part of",
  ],
  [
    { env: { GOPRIVATE: "a.example.com, b.example.com" } },
    'GOPRIVATE="a.example.com, b.example.com" has a blank in the pattern " b.example.com", which then matches nothing; separate patterns by a comma alone',
  ],
  [{ flags: { noproxy: "a[b" } }, '--noproxy "a[b" has the malformed pattern "a[b"; close its [ or escape it as \\['],
  [
    { flags: { private: "https://git.example.com/team" } },
    '--private "https://git.example.com/team" has a URL among its patterns; write the module path, such as git.example.com/team',
  ],
  // The chain
  [
    { env: { GOPROXY: "," } },
    "GOPROXY cannot be read: the chain of upstreams has no entries; write the URL of an upstream, or `off` to serve only what is stored",
  ],
  [
    { flags: { chain: "htps://proxy.example.com" } },
    '--chain cannot be read: "htps://proxy.example.com" in the chain of upstreams begins with htps:, which is none of https:, http: and file:; write https://proxy.example.com',
  ],
  [
    { env: { GOPROXY: "https://user:hun,ter2@proxy.example.com" } },
    "GOPROXY cannot be read, and is not shown as it may hold a password; in a password write , as %2C, | as %7C, / as %2F and @ as %40",
  ],
  // Overrides
  [
    { file: "[upstream]\noverride = 1" },
    "conf/sluice.toml:2: [upstream] override is not a list of tables; write [[upstream.override]]",
  ],
  [{ file: "[upstream]\noverride = [1]" }, "conf/sluice.toml:2: [upstream] override is not a table"],
  [
    { env: { SLUICE_UPSTREAM_OVERRIDE: "[{" } },
    "SLUICE_UPSTREAM_OVERRIDE is not a list of tables; write [[upstream.override]]",
  ],
  [
    { file: '[[upstream.route]]\nchain = "off"' },
    "conf/sluice.toml:1: [[upstream.route]] patterns is missing; write the modules that this is about, such as golang.org/x/*",
  ],
  [
    { file: '[[upstream.route]]\npatterns = "a.com"' },
    "conf/sluice.toml:1: [[upstream.route]] chain is missing; write the upstreams of these modules, or off",
  ],
  [
    { file: '[[upstream.route]]\nmatch = "a.com"\npatterns = "a.com"\nchain = "off"' },
    "conf/sluice.toml:2: [[upstream.route]] has no match; did you mean patterns?",
  ],
  [
    { file: '[[upstream.route]]\npatterns = "a.com/["\nchain = "off"' },
    'conf/sluice.toml:2: [[upstream.route]] patterns = "a.com/[" has the malformed pattern "a.com/["; close its [ or escape it as \\[',
  ],
  [
    { file: '[[upstream.route]]\npatterns = "a.com"\nchain = "Off"' },
    'conf/sluice.toml:3: [[upstream.route]] chain cannot be read: "Off" in the chain of upstreams is not known; write off in lower case',
  ],
  [
    { file: '[[upstream.group]]\nmembers = ["https://a.com"]' },
    "conf/sluice.toml:2: [[upstream.group]] members has one upstream, and there are no backups; write at least two upstreams, or one and its backups",
  ],
  [
    { file: "[[upstream.group]]\nmembers = []" },
    "conf/sluice.toml:2: [[upstream.group]] members = [] is missing; write at least two upstreams, or one and its backups",
  ],
  [
    { file: '[upstream]\nchain = "a.com|b.com"\n[[upstream.group]]\nmembers = ["a.com"]\nbackups = "b.com"' },
    'conf/sluice.toml:5: [[upstream.group]] backups = "b.com" is not a list; write ["https://a.example.com", "https://b.example.com"]',
  ],
  [
    { file: '[upstream]\nchain = "a.com|b.com"\n[[upstream.group]]\nmembers = ["a.com"]\nbackups = ["c.com"]' },
    "conf/sluice.toml:5: [[upstream.group]] backups https://c.com is no entry of a chain; did you mean https://a.com?",
  ],
  [
    {
      file: '[upstream]\nchain = "a.com|b.com"\n[[upstream.group]]\nmembers = ["a.com", "b.com"]\nbackups = ["b.com"]',
    },
    "conf/sluice.toml:4: [[upstream.group]] members https://b.com is in a group already; an upstream belongs to one group, as a member or as a backup",
  ],
  [
    { file: '[upstream]\nchain = "b.com|a.com"\n[[upstream.group]]\nmembers = ["a.com"]\nbackups = ["b.com"]' },
    "conf/sluice.toml:4: [[upstream.group]] members do not stand side by side in a chain; write them so, with | between them, the backups last: https://a.com|https://b.com",
  ],
  [
    { file: '[upstream]\nchain = "a.com|b.com"\n[[upstream.group]]\nmembers = ["a.com", "c.com"]' },
    "conf/sluice.toml:4: [[upstream.group]] members https://c.com is no entry of a chain; did you mean https://a.com?",
  ],
  [
    { file: '[upstream]\nchain = "a.com,b.com"\n[[upstream.group]]\nmembers = ["a.com", "b.com"]' },
    "conf/sluice.toml:4: [[upstream.group]] members do not stand side by side in a chain; write them so, with | between them: https://a.com|https://b.com",
  ],
  [
    { file: '[upstream]\nchain = "a.com|b.com"\n[[upstream.group]]\nmembers = ["a.com", "b.com"]\nbalance = "random"' },
    'conf/sluice.toml:5: [[upstream.group]] balance = "random" is not one of its values; write order or spread',
  ],
  [
    { file: "[[upstream.override]]\nattempts = 1" },
    "conf/sluice.toml:1: [[upstream.override]] url is missing; write the entry of the chain that this is about",
  ],
  [
    { file: upstream.replace(/go"\n$/, 'og"\n') },
    "conf/sluice.toml:4: [[upstream.override]] url https://proxy.example.com/og is no entry of the chain; did you mean https://proxy.example.com/go?",
  ],
  [
    { file: upstream.replace(/"https[^"]*"\n$/, '"https://me:hunter2@proxy.example.com/go"\n') },
    "conf/sluice.toml:4: [[upstream.override]] url has a user name, password or query in it; write username and password_file instead",
  ],
  [
    { file: upstream.replace(/"https[^"]*"\n$/, '"off"\n') },
    "conf/sluice.toml:4: [[upstream.override]] url is not one URL of an upstream; write it as in the chain, such as https://proxy.example.com",
  ],
  [
    { file: `${upstream}[[upstream.override]]\nurl = "proxy.example.com/go/"` },
    "conf/sluice.toml:6: [[upstream.override]] url https://proxy.example.com/go has an override already; write one table for it",
  ],
  [
    { file: `${upstream}not_found_status = [403, 500]` },
    "conf/sluice.toml:5: [[upstream.override]] not_found_status = 500 is not a status from 400 to 499",
  ],
  [
    { file: `${upstream}attempts = 0` },
    "conf/sluice.toml:5: [[upstream.override]] attempts = 0 is not a whole number from 1 to 20",
  ],
  [
    { file: `${upstream}ca_file = "ca.pem"` },
    'conf/sluice.toml:5: [[upstream.override]] ca_file = "ca.pem" does not exist; check the path',
  ],
  [
    { file: `${upstream}ca_file = "ca.pem"`, files: { "/srv/app/conf/ca.pem": "hunter2" } },
    'conf/sluice.toml:5: [[upstream.override]] ca_file = "ca.pem" holds no certificate in PEM form',
  ],
  [
    { file: `${upstream}password_file = "token"`, files: { "/srv/app/conf/token": "\n" } },
    'conf/sluice.toml:5: [[upstream.override]] password_file = "token" is empty',
  ],
  [
    { file: `${upstream}password_env = "hunter2"` },
    "conf/sluice.toml:5: [[upstream.override]] password_env names an environment variable that is not set",
  ],
  [
    { file: `${upstream}password_env = "T"\npassword_file = "t"`, env: { T: "hunter2" } },
    "conf/sluice.toml:5: [[upstream.override]] password_env stands beside password_file; keep one of them",
  ],
  // Repositories that are elsewhere
  [
    { file: '[git]\noverride = "a"' },
    "conf/sluice.toml:2: [git] override is not a list of tables; write [[git.override]]",
  ],
  [
    { file: '[[git.override]]\nurl = "https://git.example.com/{path}.git"' },
    "conf/sluice.toml:1: [[git.override]] pattern is missing; write the module paths that this is about, such as git.example.com/**",
  ],
  [
    { file: '[[git.override]]\npattern = "git.corp/**"' },
    "conf/sluice.toml:1: [[git.override]] url is missing; write where the repositories are",
  ],
  [
    { file: `${elsewhere}repo = "x"\nurl = "ssh://git@git.corp/{path}"` },
    "conf/sluice.toml:3: [[git.override]] has no repo; did you mean url?",
  ],
  [
    { file: `${elsewhere}url = "https://me:hunter2@git.corp/{path}"` },
    "conf/sluice.toml:3: [[git.override]] url has a user name or password in it; write a [[private]] rule with a credential, or a .netrc",
  ],
  [
    { file: `${elsewhere}url = "/srv/hunter2"` },
    "conf/sluice.toml:3: [[git.override]] url is no address of repositories; write https://git.example.com/{path}.git or ssh://git@git.example.com/{path}.git",
  ],
  [
    { file: `${elsewhere}url = "https://git.corp/{path}"\nsubdir = "../x"` },
    'conf/sluice.toml:2: [[git.override]] pattern cannot be used: the repository override "git.corp/**" has a subdir that is none: relative path element',
  ],
  [
    { file: '[[git.override]]\npattern = "a.example/**/b"\nurl = "https://git.corp/{path}"' },
    'conf/sluice.toml:2: [[git.override]] pattern cannot be used: the repository override "a.example/**/b" is no pattern of module paths; write elements with globs, and ** only as the last one',
  ],
  // Private modules
  [
    { file: '[private]\npattern = "a.example"' },
    "conf/sluice.toml:1: [[private]] pattern stands in no list of tables; write [[private]] before it",
  ],
  [
    { env: { SLUICE_PRIVATE: "hunter2" } },
    "env SLUICE_PRIVATE: [[private]] pattern stands in no list of tables; write [[private]] before it",
  ],
  [
    { file: '[[private]]\nurl = "https://git.example.com/{path}.git"' },
    "conf/sluice.toml:1: [[private]] pattern is missing; write the module paths that are private, such as git.example.com/team",
  ],
  [
    { file: '[[private]]\npattern = "a.example, b.example"' },
    'conf/sluice.toml:2: [[private]] pattern = "a.example, b.example" has a blank in the pattern " b.example", which then matches nothing; separate patterns by a comma alone',
  ],
  [
    { file: '[[private]]\nmodules = "a.example"\npattern = "a.example"' },
    "conf/sluice.toml:2: [[private]] has no modules; did you mean pattern?",
  ],
  [
    { file: `${rule}host = "git.example.com"\nurl = "https://git.example.com/{path}"` },
    "conf/sluice.toml:3: [[private]] host stands beside url; keep one of them",
  ],
  [
    { file: `${rule}host = "https://git.example.com"` },
    'conf/sluice.toml:3: [[private]] host = "https://git.example.com" is not the name of a host; write it like git.example.com, with a port where it needs one',
  ],
  [
    { file: `${rule}url = "https://me:hunter2@git.example.com/{path}"` },
    "conf/sluice.toml:3: [[private]] url has a user name or password in it; write credential = { … } instead",
  ],
  [
    { file: `${rule}url = "git@git.example.com:{path}"` },
    "conf/sluice.toml:3: [[private]] url is no address of repositories; write https://git.example.com/{path}.git or ssh://git@git.example.com/{path}.git",
  ],
  [
    { file: `${rule}url = "https://git.example.com/{name}.git"` },
    'conf/sluice.toml:3: [[private]] url cannot be used: the repository override "git.corp.example/team" has {name} in its url; there are {host}, {path} and {rest}',
  ],
  [
    { file: `${rule}ca_file = "ca.pem"`, files: { "/srv/app/conf/ca.pem": "hunter2" } },
    'conf/sluice.toml:3: [[private]] ca_file = "ca.pem" holds no certificate in PEM form',
  ],
  // Credentials
  [{ file: `${rule}credential = "hunter2"` }, "conf/sluice.toml:3: [[private]] credential is not a table"],
  [
    { file: `${rule}credential = { token = "hunter2" }` },
    'conf/sluice.toml:3: credential of [[private]] has no token; did you mean file?\nconf/sluice.toml:3: [[private]] credential has neither file, env nor command; write where the secret is, such as file = "token"',
  ],
  [
    { file: `${rule}credential = { kind = "hunter2", env = "T" }`, env: { T: "x" } },
    "conf/sluice.toml:3: [[private]] credential.kind is not one of its values; write token, password, ssh or github_app",
  ],
  [
    { file: `${rule}credential = { env = "hunter2" }` },
    "conf/sluice.toml:3: [[private]] credential.env names an environment variable that is not set",
  ],
  [
    { file: `${rule}credential = { file = "hunter2" }` },
    "conf/sluice.toml:3: [[private]] credential.file does not exist; check the path",
  ],
  [
    { file: `${rule}credential = { file = "t" }`, files: { "/srv/app/conf/t": "\n" } },
    "conf/sluice.toml:3: [[private]] credential.file is empty",
  ],
  [
    { file: `${rule}credential = { env = "T", command = ["cat", "hunter2"] }`, env: { T: "x" } },
    "conf/sluice.toml:3: [[private]] credential.command stands beside env; keep one of them",
  ],
  [
    { file: `${rule}credential = { command = "cat hunter2" }` },
    'conf/sluice.toml:3: [[private]] credential.command is not a list; write ["program", "argument"]',
  ],
  [
    { file: `${rule}credential = { kind = "password", env = "T" }`, env: { T: "x" } },
    "conf/sluice.toml:3: [[private]] credential.username is missing; write the user name that the password is for",
  ],
  [
    { file: `${rule}credential = { kind = "ssh", env = "T" }`, env: { T: "x" } },
    "conf/sluice.toml:3: [[private]] credential.known_hosts is missing; name a file with the host's keys, as `ssh-keyscan git.example.com` prints them",
  ],
  [
    { file: `${rule}credential = { kind = "ssh", env = "T", known_hosts = "k" }`, env: { T: "x" } },
    'conf/sluice.toml:3: [[private]] credential.known_hosts = "k" does not exist; check the path',
  ],
  [
    { file: `${rule}credential = { env = "T", app_id = 1 }`, env: { T: "x" } },
    "conf/sluice.toml:3: [[private]] credential.app_id is nothing that the kind token has; take it out, or write another kind",
  ],
  [
    { file: `${rule}credential = { kind = "github_app", env = "T", app_id = 1 }`, env: { T: "x" } },
    "conf/sluice.toml:3: [[private]] credential.installation_id is missing; it is the last part of the URL of the installation's settings",
  ],
  [
    { file: `${rule}url = "ssh://git@git.example.com/{path}"\ncredential = { env = "T" }`, env: { T: "x" } },
    "conf/sluice.toml:4: [[private]] credential.kind is nothing that SSH knows; write ssh, or url with https:",
  ],
  [
    { file: '[[private]]\npattern = "*/team"\ncredential = { env = "T" }', env: { T: "x" } },
    'conf/sluice.toml:2: [[private]] pattern = "*/team" matches hosts of others with "*/team", which would be sent the credential; name the host, such as git.example.com/*, or write host or url',
  ],
];

describe("a mistake is one sentence that says what, where, and what to write", () => {
  it.each(mistakes)("%j", (input, sentence) => {
    expect(() => load(input)).toThrow(expect.objectContaining({ code: "config_invalid", message: sentence }));
    expect(sentence).not.toContain("hunter2");
  });
});

it("says all mistakes at once, each on its line", () => {
  const input = { file: '[server]\nlisten = "x"\nlisen = "y"\n', env: { SLUICE_X: "1" }, flags: { ttl: "z" } };
  expect(() => load(input)).toThrow(
    expect.objectContaining({
      message: [
        "SLUICE_X in the environment is no setting of Sluice; unset it",
        "conf/sluice.toml:3: [server] has no lisen; did you mean listen?",
        `conf/sluice.toml:2: [server] listen = "x" ${notAnAddress}`,
        `--ttl "z" ${notADuration}`,
      ].join("\n"),
    }),
  );
});

it.each([
  ["EACCES", "cannot be read by this user; check its permissions"],
  ["EISDIR", "is a folder; name a file"],
  ["EIO", "cannot be read (EIO)"],
])("says why a file cannot be read: %s", async (code, reason) => {
  const { loadConfig } = await import("./load.ts");
  const readFile = (): string => {
    throw Object.assign(new Error(code), { code });
  };
  expect(() => loadConfig({ configFile: "a.toml", env: {}, cwd: "/", readFile })).toThrow(
    `the configuration file "a.toml" (--config) ${reason}`,
  );
});
