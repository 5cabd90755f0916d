import { expect, test } from "vitest";
import { keptOf, listenTo, messagesSuite } from "../../test/suites/messages.ts";
import { bridgeMessages, createMessageHub } from "./message-hub.ts";

messagesSuite("a hub in one process", async () => {
  const hub = createMessageHub();
  return { join: async () => hub.join("member"), remove: async () => undefined };
});

messagesSuite("hubs with bridges between them", async () => {
  const [one, other, third] = [createMessageHub(), createMessageHub(), createMessageHub()];
  bridgeMessages(one.join("bridge"), other.join("bridge"));
  bridgeMessages(other.join("bridge"), third.join("bridge"));
  const hubs = [one, other, third];
  let joined = 0;
  return {
    join: async () => (hubs[joined++ % hubs.length] ?? one).join("member"),
    remove: async () => undefined,
  };
});

test("a bridge can be ended", () => {
  const [one, other] = [createMessageHub(), createMessageHub()];
  const end = bridgeMessages(one.join("bridge"), other.join("bridge"));
  const heard = listenTo(other.join("member"));
  const member = one.join("member");
  member.publish(keptOf(1));
  end();
  member.publish(keptOf(2));
  expect(heard.all).toEqual([keptOf(1)]);
});
