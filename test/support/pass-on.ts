import type { BlobStore, Ledger } from "../../src/core/ports.ts";

/** The store, with `before` called in front of each operation but `list` and `close`; when it throws, the operation fails so. */
export function passOnBlobs(store: BlobStore, before: (operation: string) => void): BlobStore {
  const guarded = guard(before);
  return {
    name: store.name,
    stat: (key) => guarded("stat", () => store.stat(key)),
    get: (key) => guarded("get", () => store.get(key)),
    create: (key, content) => guarded("create", () => store.create(key, content)),
    replace: (key, bytes) => guarded("replace", () => store.replace(key, bytes)),
    delete: (key) => guarded("delete", () => store.delete(key)),
    setAside: (key, revision) => guarded("setAside", () => store.setAside(key, revision)),
    list: (prefix) => store.list(prefix),
    check: () => guarded("check", () => store.check()),
    close: () => store.close(),
  };
}

/** As `passOnBlobs`; `touch` and `listFacts` are not guarded either. */
export function passOnLedger(ledger: Ledger, before: (operation: string) => void): Ledger {
  const guarded = guard(before);
  return {
    name: ledger.name,
    facts: (key) => guarded("facts", () => ledger.facts(key)),
    addFacts: (facts) => guarded("addFacts", () => ledger.addFacts(facts)),
    removeFacts: (key) => guarded("removeFacts", () => ledger.removeFacts(key)),
    freshness: (key) => guarded("freshness", () => ledger.freshness(key)),
    setFreshness: (freshness) => guarded("setFreshness", () => ledger.setFreshness(freshness)),
    removeFreshness: (key) => guarded("removeFreshness", () => ledger.removeFreshness(key)),
    touch: (key, usedAt) => ledger.touch(key, usedAt),
    lastUsed: (key) => guarded("lastUsed", () => ledger.lastUsed(key)),
    listFacts: (prefix) => ledger.listFacts(prefix),
    addUnverified: (file) => guarded("addUnverified", () => ledger.addUnverified(file)),
    unverified: (key) => guarded("unverified", () => ledger.unverified(key)),
    removeUnverified: (key) => guarded("removeUnverified", () => ledger.removeUnverified(key)),
    listUnverified: (after, limit) => guarded("listUnverified", () => ledger.listUnverified(after, limit)),
    countUnverified: () => guarded("countUnverified", () => ledger.countUnverified()),
    check: () => guarded("check", () => ledger.check()),
    close: () => ledger.close(),
  };
}

function guard(before: (operation: string) => void) {
  return async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    before(operation);
    return work();
  };
}
