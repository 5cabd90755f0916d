import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { PutBucketPolicyCommand, S3Client } from "@aws-sdk/client-s3";
import { portOf } from "./loopback.ts";
import { createRandom } from "./random.ts";
import type { S3Server } from "./s3-server.ts";

/** A real store, behind a proxy that takes its conditional writes away. */
export interface UnconditionalStore extends AsyncDisposable {
  readonly endpoint: string;
  /** As those of the store. */
  options: S3Server["options"];
}

export interface UnconditionalStoreOptions {
  /** How it treats `If-None-Match` on writes: as if it were not there, or with 501. */
  readonly manner: "ignores" | "refuses";
  /** Writes are held back for up to so long, by chance, so that they overtake each other. Default 0. */
  readonly writesTakeMs?: number;
}

const writes: ReadonlySet<string | undefined> = new Set(["PUT", "POST"]);

/** Lets everybody use the bucket of `server`, since nobody's signature fits requests whose headers were changed. */
export async function startUnconditionalStore(
  server: S3Server,
  { manner, writesTakeMs = 0 }: UnconditionalStoreOptions,
): Promise<UnconditionalStore> {
  await letEverybodyIn(server);
  const random = createRandom(1);
  const pass = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const { method, url, headers } = incoming;
    if (manner === "refuses" && writes.has(method) && headers["if-none-match"] !== undefined) {
      incoming.resume();
      outgoing.writeHead(501).end("<Error><Code>NotImplemented</Code></Error>");
      return;
    }
    if (writes.has(method) && writesTakeMs > 0) await delay(random.int(writesTakeMs));
    const kept = Object.entries(headers).filter(
      ([name]) => !/^(authorization|if-none-match|x-amz-(?!meta-|copy-source|metadata-)|amz-sdk-)/.test(name),
    );
    const passedOn = request(`${server.endpoint}${url ?? "/"}`, { method, headers: Object.fromEntries(kept) });
    passedOn.on("response", (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passedOn.on("error", () => outgoing.destroy());
    incoming.pipe(passedOn);
  };
  const proxy = createServer((incoming, outgoing) => void pass(incoming, outgoing));
  await new Promise<void>((resolve) => {
    proxy.listen(0, "127.0.0.1", resolve);
  });
  const endpoint = `http://127.0.0.1:${portOf(proxy)}`;
  return {
    endpoint,
    options: (wrap) => ({ ...server.options(wrap), endpoint }),
    async [Symbol.asyncDispose]() {
      proxy.closeAllConnections();
      await new Promise((resolve) => {
        proxy.close(resolve);
      });
    },
  };
}

async function letEverybodyIn(server: S3Server): Promise<void> {
  const client = new S3Client({ ...server.options(), forcePathStyle: true });
  const resources = [`arn:aws:s3:::${server.bucket}`, `arn:aws:s3:::${server.bucket}/*`];
  const statement = { Effect: "Allow", Principal: { AWS: ["*"] }, Action: ["s3:*"], Resource: resources };
  const policy = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  try {
    await client.send(new PutBucketPolicyCommand({ Bucket: server.bucket, Policy: policy }));
  } finally {
    client.destroy();
  }
}
