import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** `[bucket]`. */
export const bucketSchema = section(
  "A bucket in front of which the disk is a cache, so that several nodes have one store: AWS S3, MinIO, or any other that speaks S3. A store that does not heed `If-None-Match` when it writes needs `[database]`, or `only_writer`. Credentials are found where the AWS tools find them (environment, shared files, SSO, web identity, container, machine), unless they are named here.",
  {
    url: setting(value.text().optional(), {
      kind: "text",
      restart: true,
      flag: "bucket",
      placeholder: "s3://bucket/prefix",
      synonyms: ["bucket", "name", "s3", "uri", "prefix"],
      doc: "The bucket, and in it the prefix of all that Sluice keeps, such as `s3://modules/sluice`. Without it there is no bucket, and the disk has everything.",
    }),
    endpoint: setting(value.text().optional(), {
      kind: "text",
      restart: true,
      defaultDoc: "AWS",
      synonyms: ["endpoint_url", "server", "host", "address"],
      doc: "Where the store is, when it is not AWS's: such as `https://minio.example.com:9000`.",
    }),
    region: setting(value.text().optional(), {
      kind: "text",
      restart: true,
      defaultDoc: "with an `endpoint` `us-east-1`, else what the AWS tools would take",
      doc: "The bucket's region.",
    }),
    pathStyle: setting(value.flag().optional(), {
      kind: "boolean",
      restart: true,
      defaultDoc: "`true` with an `endpoint`, else `false`",
      synonyms: ["force_path_style", "path_style_access", "addressing_style"],
      doc: "Whether the bucket's name stands in the path of a URL instead of in its host name.",
    }),
    caFile: setting(value.path().optional(), {
      kind: "path",
      restart: true,
      synonyms: ["ca", "ca_bundle", "certificate"],
      doc: "PEM file of certificate authorities to trust for the endpoint, besides the system's.",
    }),
    accessKeyId: setting(value.text().optional(), {
      kind: "text",
      restart: true,
      synonyms: ["access_key", "key_id", "username"],
      doc: "Name of the key that requests are signed with. Its secret stands in `secret_key_file` or `secret_key_env`.",
    }),
    secretKeyFile: setting(value.path().optional(), {
      kind: "path",
      restart: true,
      synonyms: ["secret_key", "secret_access_key", "secret", "secret_access_key_file", "password_file"],
      doc: "File with the secret of `access_key_id`. Line ends at its end do not count.",
    }),
    secretKeyEnv: setting(value.text().optional(), {
      kind: "text",
      restart: true,
      synonyms: ["secret_access_key_env", "password_env"],
      doc: "Name of the environment variable with the secret of `access_key_id`.",
    }),
    redirectFromBytes: setting(value.size({ min: 1 }).optional(), {
      kind: "size",
      restart: true,
      synonyms: ["redirect", "redirect_min", "redirects", "presign"],
      doc: "Zips of at least this size that are stored are not sent to clients: they are redirected (307) to the bucket, by a URL that is signed and good for five minutes. Without it Sluice sends everything itself. Clients must reach `endpoint`, by `https` if they reach Sluice so. Not redirected are private modules, HEAD, ranges, and what the bucket does not have or cannot be asked for.",
    }),
    onlyWriter: setting(value.flag().optional(), {
      kind: "boolean",
      restart: true,
      defaultDoc: "`false`",
      synonyms: ["sole_writer", "single_writer", "exclusive"],
      doc: "That no other node writes to this bucket. Needed for a store that does not heed `If-None-Match`, where nothing else could tell which of two nodes was first; with `[database]`, that decides, and this is not needed. A second node that says so as well is refused; `sluice scrub --in-bucket --fix` waits until Sluice is stopped.",
    }),
  },
);
