import { describe, expect, it } from "vitest";
import { load, type Input } from "../../test/support/config.ts";
import { exampleConfig } from "../../tools/docs/example-config.ts";
import { goDefaultProxy } from "./defaults.ts";
import { formatOrigin } from "./origin.ts";
import { printConfig } from "./print.ts";
import { Secret } from "../core/secret.ts";
import { generateKey } from "../protocol/sumdb/index.ts";
import { sections, settingPath } from "./settings.ts";

const pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const { signerKey, verifierKey } = generateKey("sum.corp.example", new Uint8Array(32));
const override = (lines: string): string =>
  `[upstream]\nchain = "https://proxy.example.com/go,off"\n[[upstream.override]]\n${lines}`;

describe("without anything", () => {
  it("has production defaults", () => {
    const { config } = load({});
    expect(config.server.listen).toStrictEqual({ host: "127.0.0.1", port: 3000 });
    expect(config.store).toStrictEqual({
      dataDir: "/srv/app/sluice-data",
      memoryBytes: 256 * 2 ** 20,
      wholeFileLimitBytes: 32 * 2 ** 20,
      diskCacheSizeBytes: 20 * 2 ** 30,
      reserveBytes: 256 * 2 ** 20,
      scrubIntervalMs: 30 * 86_400_000,
      scrubRateBytes: 8 * 2 ** 20,
      maxSizeBytes: 0,
    });
    expect(config.sharedBucket).toBeUndefined();
    expect(config.freshness).toStrictEqual({ ttlMs: 60_000, notFoundMs: 30_000, staleWhileRevalidateMs: 600_000 });
    expect(config.upstream).toMatchObject({ chain: goDefaultProxy, private: "", noProxy: "", overrides: [] });
  });

  it("takes every value from its default", () => {
    const origins = [...load({}).given.values()].map(({ origin }) => origin.kind);
    expect(new Set(origins)).toStrictEqual(new Set(["default"]));
  });

  it("takes chain and private patterns from Go's variables", () => {
    const { config, given } = load({ env: { GOPROXY: "https://proxy.example.com", GOPRIVATE: "corp.example.com" } });
    expect(config.upstream).toMatchObject({
      chain: "https://proxy.example.com",
      private: "corp.example.com",
      noProxy: "corp.example.com",
    });
    const origins = ["upstream.chain", "upstream.private", "upstream.no_proxy"].map((path) => given.get(path)?.origin);
    expect(origins).toMatchObject([{ name: "GOPROXY" }, { name: "GOPRIVATE" }, { name: "GOPRIVATE" }]);
  });

  it("lets GONOPROXY stand before GOPRIVATE, as go does", () => {
    expect(load({ env: { GOPRIVATE: "a.example.com", GONOPROXY: "none" } }).config.upstream.noProxy).toBe("none");
  });

  it("takes an empty variable for none, as go does", () => {
    const { config } = load({ env: { GOPROXY: "", SLUICE_LISTEN: "", SLUICE_CONFIG: "", SLUICE_UNKNOWN: "" } });
    expect(config).toStrictEqual(load({}).config);
  });
});

describe("precedence", () => {
  const file = '[freshness]\nttl = "1s"\n';
  it.each([
    [{}, 60_000, "default"],
    [{ file }, 1000, "conf/sluice.toml:2"],
    [{ file, env: { SLUICE_FRESHNESS_TTL: "2s" } }, 2000, "env SLUICE_FRESHNESS_TTL"],
    [{ file, env: { SLUICE_FRESHNESS_TTL: "2s" }, flags: { ttl: "3s" } }, 3000, "--ttl"],
  ] satisfies [Input, number, string][])("%j makes ttl %d from %s", (input, ttlMs, origin) => {
    const { config, given } = load(input);
    expect(config.freshness.ttlMs).toBe(ttlMs);
    expect(formatOrigin(given.get("freshness.ttl")?.origin ?? { kind: "default" })).toBe(origin);
  });

  it("puts the file before Go's variables, which are only a default", () => {
    const input = { file: '[upstream]\nchain = "off"\n', env: { GOPROXY: "https://proxy.example.com" } };
    expect(load(input).config.upstream.chain).toBe("off");
  });

  it.each(["SLUICE_LISTEN", "SLUICE_SERVER_LISTEN"])("knows %s", (name) => {
    expect(load({ env: { [name]: "[::1]:80" } }).config.server.listen).toStrictEqual({ host: "::1", port: 80 });
  });

  it("reads the file that SLUICE_CONFIG names, unless a flag names another", () => {
    const files = {
      "/etc/sluice.toml": '[server]\nlisten = ":1"',
      "/srv/app/conf/sluice.toml": '[server]\nlisten = ":2"',
    };
    const env = { SLUICE_CONFIG: "/etc/sluice.toml" };
    expect(load({ env, files }).config.server.listen.port).toBe(1);
    expect(load({ env, files, file: files["/srv/app/conf/sluice.toml"] }).config.server.listen.port).toBe(2);
  });
});

describe("every setting", () => {
  const settings = sections.flatMap((section) => section.settings);
  const samples = {
    text: "/sample",
    choice: "json",
    boolean: "false",
    integer: "9",
    duration: "9s",
    size: "9MiB",
    path: "/sample",
    list: "::1",
    paths: "/sample.key",
    table: "{}",
    tables: "[]",
  };
  const special: Readonly<Record<string, string>> = {
    "server.listen": ":9",
    "server.max_url_bytes": "999",
    "server.max_header_bytes": "9999",
    "upstream.chain": "off",
    "log.level": "warn",
    "database.url": "postgres://db.example.com/sluice",
    "database.url_file": "/sample.url",
    "database.password_file": "/sample.token",
    "database.ca_file": "/sample.pem",
    "sumdb.database": "off",
    "sumdb.verify": "off",
    "sumdb.mirror": verifierKey,
    "admin.token_file": "/sample.token",
    "admin.token_env": "TOKEN",
    "bucket.url": "s3://sample",
    "bucket.endpoint": "https://sample",
    "bucket.ca_file": "/sample.pem",
    "bucket.secret_key_env": "SAMPLE",
    "bucket.secret_key_file": "/sample.key",
    "redis.url": "redis://redis.example:6379/1",
    "redis.password_file": "/sample.token",
    "redis.password_env": "TOKEN",
    "redis.ca_file": "/sample.pem",
    "redis.prefix": "sample",
  };
  /** What a setting needs beside it. */
  const companions: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    bucket: { SLUICE_BUCKET_URL: "s3://sample" },
    "bucket.access_key_id": { SLUICE_BUCKET_URL: "s3://sample", SLUICE_BUCKET_SECRET_KEY_ENV: "SAMPLE" },
    "bucket.secret_key_env": { SLUICE_BUCKET_URL: "s3://sample", SLUICE_BUCKET_ACCESS_KEY_ID: "sample" },
    "bucket.secret_key_file": { SLUICE_BUCKET_URL: "s3://sample", SLUICE_BUCKET_ACCESS_KEY_ID: "sample" },
  };
  const files = {
    "/sample.key": signerKey,
    "/sample.pem": pem,
    "/sample.token": "correct-horse-battery",
    "/sample.url": "postgres://db.example.com/sluice",
  };

  it.each(settings.flatMap((setting) => setting.envNames.map((name) => [name, setting] as const)))(
    "is read from %s",
    (name, setting) => {
      const path = settingPath(setting);
      const beside = {
        SAMPLE: "sample",
        TOKEN: "correct-horse-battery",
        ...(companions[path] ?? companions[setting.section]),
      };
      const { given } = load({ files, env: { ...beside, [name]: special[path] ?? samples[setting.kind] } });
      expect(given.get(settingPath(setting))?.origin).toStrictEqual({ kind: "env", name });
    },
  );

  it("has names of its own", () => {
    const names = settings.flatMap(({ envNames }) => envNames);
    const flags = settings.flatMap(({ flag }) => flag ?? []);
    expect(names).toHaveLength(new Set(names).size);
    expect(flags).toHaveLength(new Set(flags).size);
  });

  it.each(
    settings.flatMap((setting) => (setting.default === undefined ? [] : [[settingPath(setting), setting] as const])),
  )("takes its own default: %s", (_path, { schema, default: value }) => {
    expect(schema.safeParse(value).success).toBe(true);
  });
});

describe("values", () => {
  it.each([
    ["127.0.0.1:3000", { host: "127.0.0.1", port: 3000 }],
    ["[::1]:3000", { host: "::1", port: 3000 }],
    ["[::]:3000", { host: "::", port: 3000 }],
    [":3000", { host: "", port: 3000 }],
    ["localhost:0", { host: "localhost", port: 0 }],
    ["build-1.example.com:65535", { host: "build-1.example.com", port: 65_535 }],
  ])("listens on %s", (listen, address) => {
    expect(load({ flags: { listen } }).config.server.listen).toStrictEqual(address);
  });

  it.each([
    ["", ""],
    ["/", ""],
    ["/go", "/go"],
    ["/go/", "/go"],
    ["/a/b-c_d.e~f", "/a/b-c_d.e~f"],
  ])("the base path %j is %j", (basePath, path) => {
    expect(load({ flags: { "base-path": basePath } }).config.server.basePath).toBe(path);
  });

  it("reads lists separated by commas", () => {
    const { config } = load({ env: { SLUICE_SERVER_TRUSTED_PROXIES: "10.0.0.0/8, ::1 ,," } });
    expect(config.server.trustedProxies).toStrictEqual(["10.0.0.0/8", "::1"]);
  });

  it("counts relative paths of the file from the file, others from the working directory", () => {
    expect(load({ file: '[store]\ndata_dir = "data"' }).config.store.dataDir).toBe("/srv/app/conf/data");
    expect(load({ flags: { "data-dir": "data" } }).config.store.dataDir).toBe("/srv/app/data");
    expect(load({ env: { SLUICE_DATA_DIR: "/data" } }).config.store.dataDir).toBe("/data");
  });

  it("passes over what Kubernetes and tests set", () => {
    const env = {
      SLUICE_SERVICE_HOST: "10.0.0.1",
      SLUICE_SERVICE_PORT: "80",
      SLUICE_SERVICE_PORT_HTTP: "80",
      SLUICE_PORT: "tcp://10.0.0.1:80",
      SLUICE_PORT_80_TCP: "tcp://10.0.0.1:80",
      SLUICE_PORT_80_TCP_ADDR: "10.0.0.1",
      SLUICE_HEADLESS_PORT_80_TCP_PROTO: "tcp",
      SLUICE_TEST_REQUIRE: "all",
    };
    expect(load({ env }).config).toStrictEqual(load({}).config);
  });
});

describe("overrides", () => {
  it("come with their files read", () => {
    const { config } = load({
      file: override(
        'url = "proxy.example.com/go/"\nnot_found_status = [403]\nca_file = "ca.pem"\nusername = "me"\npassword_file = "../token"\nidle_timeout = "5s"',
      ),
      files: { "/srv/app/conf/ca.pem": pem, "/srv/app/token": "hunter2\r\n" },
    });
    const [found] = config.upstream.overrides;
    expect(found).toMatchObject({
      url: "https://proxy.example.com/go",
      notFoundStatus: [403],
      ca: pem,
      username: "me",
      idleTimeoutMs: 5000,
    });
    expect(found?.password).toBeInstanceOf(Secret);
    expect(found?.password?.reveal()).toBe("hunter2");
    expect(found?.attempts).toBeUndefined();
  });

  it("may take the password from a variable", () => {
    const file = override('url = "https://proxy.example.com/go"\npassword_env = "TOKEN"');
    expect(load({ file, env: { TOKEN: "hunter2" } }).config.upstream.overrides[0]?.password?.reveal()).toBe("hunter2");
  });

  it("may stand in the environment", () => {
    const env = {
      GOPROXY: "https://proxy.example.com",
      SLUICE_UPSTREAM_OVERRIDE: '[{ url = "https://proxy.example.com", not_found_status = [403], ca_file = "ca.pem" }]',
    };
    expect(load({ env, files: { "/srv/app/ca.pem": pem } }).config.upstream.overrides).toMatchObject([
      { notFoundStatus: [403], ca: pem },
    ]);
  });
});

describe("the example of the documentation", () => {
  const machine = {
    env: { GITHUB_TOKEN: "hunter2" },
    files: {
      "/srv/app/conf/upstream-token": "hunter2",
      "/srv/app/conf/corp-ca.pem": pem,
      "/srv/app/conf/id_ed25519": "hunter2",
      "/srv/app/conf/known_hosts": "",
    },
  };
  const loaded = load({ file: exampleConfig, ...machine });

  it("loads", () => {
    expect(loaded.config.upstream.overrides).toHaveLength(1);
    expect(loaded.config.privateModules.credentials).toHaveLength(2);
    expect(loaded.config.log.format).toBe("json");
  });

  it("prints, and what is printed loads to the same", () => {
    const again = load({ file: printConfig(loaded), ...machine });
    expect(JSON.stringify(again.config)).toBe(JSON.stringify(loaded.config));
  });
});
