// What every npm client's program does alike: its job, what it asks, and how it tells the outcome; like probe.py.
import { readFileSync } from "node:fs";

export const job = JSON.parse(readFileSync(0, "utf8"));
export const HELLO = "Hello from the fake upstream.";
export const SEEN = "I see a picture.";
export const ASK = "Say hello.";
export const ASK_BOTH = "How is the weather in Oslo and Rome?";
export const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
export const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, warm: { type: "boolean" } },
  required: ["city", "warm"],
  additionalProperties: false,
};

export class NotAskedError extends Error {}

export function expect(holds, what) {
  if (!holds) throw new Error(what);
}

export function said(target, text, expected = HELLO) {
  expect(target.upstream === "embedded" ? text.trim() : text === expected, `not the upstream's words: ${text}`);
}

async function outcomeOf(attempt) {
  try {
    await attempt();
    return ["served", ""];
  } catch (error) {
    if (error instanceof NotAskedError) return ["not asked", error.message];
    const words = `${error.name}: ${error.message} ${error.responseBody ?? error.cause ?? ""}`.trim().slice(0, 600);
    return [(error.statusCode ?? error.status) === 400 ? "refused" : "failed", words];
  }
}

export async function report(client, tried) {
  for (const target of job.targets) {
    for (const [feature, attempt] of Object.entries(tried)) {
      const [outcome, detail] = await outcomeOf(() => attempt(target));
      const cell = { client, feature, upstream: target.upstream, outcome, detail };
      process.stdout.write(`${JSON.stringify(cell)}\n`);
    }
  }
}
