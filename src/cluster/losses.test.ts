import { expect, test } from "vitest";
import type { ProcessNews, ToChild } from "./control.ts";
import { Losses } from "./losses.ts";

function lost(process: string, at: number): ProcessNews {
  return {
    type: "process_lost",
    role: process === "engine" ? "engine" : "front",
    process,
    pid: at,
    how: "SIGKILL",
    at,
    restartMs: 0,
  };
}

function back(process: string): ProcessNews {
  return { type: "process_back", process, pid: 1 };
}

function listener() {
  const heard: ProcessNews[] = [];
  return { heard, send: (message: ToChild) => void (message.sluice === "process" && heard.push(message.news)) };
}

test("an engine hears what happens to the fronts", () => {
  const [losses, engine] = [new Losses(), listener()];
  losses.note(lost("front 1", 1), engine);
  losses.note(back("front 1"), engine);
  expect(engine.heard).toStrictEqual([lost("front 1", 1), back("front 1")]);
});

test("the next engine hears of the one before it, and of what was over before there was anybody to hear it", () => {
  const [losses, engine] = [new Losses(), listener()];
  losses.note(lost("engine", 1), undefined);
  losses.note(lost("front 1", 2), undefined);
  losses.note(lost("engine", 3), undefined);
  losses.note(back("front 1"), undefined);
  losses.tellAll(engine);
  losses.note(back("engine"), engine);
  expect(engine.heard).toStrictEqual([lost("front 1", 2), back("front 1"), lost("engine", 1), back("engine")]);
});

test("what is still wrong when an engine ends is told to the next one; what is over is not told twice", () => {
  const [losses, first, second] = [new Losses(), listener(), listener()];
  losses.note(lost("front 1", 1), first);
  losses.note(lost("front 2", 2), first);
  losses.note(back("front 1"), first);
  losses.tellAll(second);
  expect(second.heard).toStrictEqual([lost("front 2", 2)]);
});
