import { LRUCache } from "lru-cache";
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerFile } from "../core/answer.ts";
import { isSluiceError } from "../core/errors.ts";
import type { FleetMessage } from "../core/fleet.ts";
import type { BlobKey, StoredFile } from "../core/ports.ts";
import { selectKeys } from "../core/purge.ts";
import { isRecordKey } from "../core/record-key.ts";
import type { Access } from "../policy/access.ts";
import { ProtocolError } from "../protocol/error.ts";
import { blobKey, type FileRequest, type ModuleRequest, parseRequest } from "../protocol/goproxy/index.ts";
import { answerError } from "../server/error-answer.ts";
import { createHandler, type ExchangeOptions, type RequestHandler, type Subject } from "../server/exchange.ts";
import type { Handlers } from "../server/http-server.ts";
import { acceptRequestId } from "../server/http-rules.ts";
import { replyTo, subjectOf } from "../server/protocol-handler.ts";
import { readRequestPath } from "../server/request-path.ts";
import type { EngineLink, PassedAnswer } from "./engine-link.ts";
import { readAnswer } from "./inner-headers.ts";

/** What a front can read by itself. */
export interface FrontStore {
  /** Undefined: the engine knows. Never fails. */
  read(request: FileRequest): Promise<StoredFile | undefined>;
  touch(key: BlobKey): void;
  forget(key: BlobKey): void;
}

export interface FrontOptions extends ExchangeOptions {
  readonly access: Access;
  readonly gate: Handlers["gate"];
  readonly store: FrontStore;
  readonly engine: EngineLink;
}

/** Answers that are worth giving again from memory. */
const captureBytes = 1024 * 1024;
/** Long enough for an engine to start on a busy machine. */
const patienceMs = 30_000;
/** A load balancer wants an answer at once. */
const healthPatienceMs = 1000;
/** More than are on their way at the same time. */
const maxKept = 10_000;
/** What was being read when it was taken away is in memory by then. */
const forgetAgainMs = 2000;

/** What a client asks for, as far as a front can tell. */
interface Subjects {
  readonly subject: Subject;
  readonly module?: ModuleRequest | undefined;
  /** The answer may be given to others who write the same URL. */
  readonly isShared: boolean;
}

export interface FrontHandlers extends Handlers {
  /** From the engine. */
  heard(message: FleetMessage): void;
}

/** Answers from memory and from the store what is there, and has the engine answer everything else. */
export function createFrontHandlers(options: FrontOptions): FrontHandlers {
  const { hot, store, clock } = options;
  // An answer that was on its way when another counted already must not be remembered.
  let changes = 0;
  let purgedAt = 0;
  const keptAt = new LRUCache<BlobKey, number>({ max: maxKept });
  const isOutdated = (key: BlobKey | undefined, since: number): boolean =>
    purgedAt > since || (key !== undefined && (keptAt.get(key) ?? 0) > since);

  const protocol: RequestHandler = async (request, response) => {
    const subjects = look(request, options, true);
    const { module } = subjects;
    const isMine =
      module !== undefined && isFile(module) && options.access.refuseModule(module.modulePath) === undefined;
    const file = isMine ? await store.read(module) : undefined;
    if (file === undefined) return passOn(request, response, subjects);
    return answerStored(file, subjects)(request, response);
  };

  const answerStored = (file: StoredFile, { module, subject }: Subjects): RequestHandler =>
    createHandler(options, async ({ describe }) => {
      describe(subject);
      store.touch(file.key);
      if (module === undefined) throw new TypeError("a file of no module");
      return replyTo(module, answerFile(file, "hit"));
    });

  const passOn = async (request: IncomingMessage, response: ServerResponse, subjects: Subjects): Promise<void> => {
    const startedAt = performance.now();
    const id = acceptRequestId(request.headers["x-request-id"]) ?? options.nextRequestId();
    const client = options.clientAddress(request);
    const changesBefore = changes;
    // As it may be changed on the way.
    const url = request.url ?? "/";
    const isHealth = url.startsWith("/readyz");
    try {
      const answer = await options.engine.pass(request, response, {
        id,
        client,
        patienceMs: isHealth ? healthPatienceMs : patienceMs,
        captureBytes: subjects.isShared ? captureBytes : 0,
      });
      const key = subjects.module && blobKey(subjects.module);
      if (!isOutdated(key, changesBefore)) remember(url, subjects, { ...answer, askedAt: startedAt });
    } catch (thrown) {
      const { error, status, headers, body } = answerError(thrown, id);
      if (response.headersSent || response.destroyed) response.destroy();
      else response.writeHead(status, { ...headers, "x-request-id": id }).end(body);
      options.recorder.record({
        id,
        client,
        method: request.method ?? "",
        path: url.slice(0, 512),
        status,
        ...subjects.subject,
        cache: "miss",
        bytes: 0,
        durationMs: performance.now() - startedAt,
        error: `${error.code}: ${error.message}`,
      });
    }
  };

  const remember = (
    url: string,
    { subject, module, isShared }: Subjects,
    { head, body, askedAt }: PassedAnswer & { readonly askedAt: number },
  ): void => {
    const { freshForMs, source } = readAnswer(head);
    if (!isShared || body === undefined || head.statusCode !== 200 || freshForMs <= 0) return;
    const { etag, "content-type": contentType, "cache-control": cacheControl } = head.headers;
    if (etag === undefined || contentType === undefined || cacheControl === undefined) return;
    const isImmutable = freshForMs === Number.POSITIVE_INFINITY;
    const facts = { path: url.slice(0, 512), status: 200, ...subject, cache: "hit", source, bytes: body.length };
    hot.add(url, {
      key: module && blobKey(module),
      headers: [
        "Content-Type",
        contentType,
        "X-Content-Type-Options",
        "nosniff",
        "X-Sluice-Cache",
        "hit",
        "Accept-Ranges",
        "bytes",
        ...(isImmutable ? ["Cache-Control", cacheControl] : []),
        "Content-Length",
        String(body.length),
        "ETag",
        etag,
      ],
      bytes: body,
      askedAt,
      freshUntil: clock.now() + freshForMs,
      recordGet: options.recorder.prepare({ ...facts, method: "GET" }),
      recordHead: options.recorder.prepare({ ...facts, method: "HEAD", bytes: 0 }),
    });
  };

  const forget = (key: BlobKey): void => {
    hot.forget(key);
    store.forget(key);
  };

  return {
    hot,
    gate: options.gate,
    basePath: options.basePath,
    protocol,
    sumdb: (request, response) => passOn(request, response, look(request, options, false)),
    operator: async (request, response) => {
      if (request.method === "GET" && request.url === "/healthz") {
        response.writeHead(200, { "content-type": "text/plain;charset=UTF-8" }).end("ok\n");
        return;
      }
      await passOn(request, response, { subject: { kind: "other" }, isShared: false });
    },
    heard(message) {
      // It comes ten times a second, and changes no answer.
      if (message.type === "spent") return;
      changes += 1;
      if (message.type === "purged" && message.selection.onlyMissing !== true) {
        purgedAt = changes;
        hot.purge(selectKeys(message.selection));
      } else if (message.type === "kept" && isRecordKey(message.key)) {
        // It looks at all answers, so not for each file.
        keptAt.set(message.key, changes);
        hot.purge((key) => key === message.key);
      } else if (message.type === "rejected") {
        purgedAt = changes;
        forget(message.key);
        void clock.sleep(forgetAgainMs).then(() => forget(message.key));
      }
    },
  };
}

/** What is wrong with a request the engine says. */
function look(request: IncomingMessage, options: FrontOptions, isProtocol: boolean): Subjects {
  const isPlain = request.method === "GET" && request.headers.range === undefined;
  try {
    const { path, cachedOnly } = readRequestPath(request, options);
    const isShared = isPlain && !cachedOnly;
    if (!isProtocol) return { subject: { kind: "sumdb" }, isShared };
    const module = parseRequest(path);
    return { subject: subjectOf(module), module, isShared };
  } catch (error) {
    if (!(error instanceof ProtocolError) && !isSluiceError(error)) throw error;
    return { subject: { kind: "other" }, isShared: false };
  }
}

function isFile(request: ModuleRequest): request is FileRequest {
  return request.kind === "info" || request.kind === "mod" || request.kind === "zip";
}
