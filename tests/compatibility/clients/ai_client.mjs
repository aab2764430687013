// The npm `ai` SDK with its providers for chat, Responses and Messages; told and telling by node_probe.mjs.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenResponses } from "@ai-sdk/open-responses";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { ASK, ASK_BOTH, expect, job, NotAskedError, PARAMETERS, PIXEL } from "./node_probe.mjs";
import { report, said, SCHEMA, SEEN } from "./node_probe.mjs";

const LIMITS = { maxRetries: 0, maxOutputTokens: 200, temperature: 0 };
const weather = (execute) => ({
  get_weather: tool({ description: "The weather.", inputSchema: jsonSchema(PARAMETERS), execute }),
});

function called(target, calls, ...cities) {
  const seen = JSON.stringify(calls.map((call) => [call.toolName, call.input]));
  const real = calls.length === 1 && typeof calls[0].input.city === "string";
  const meant = JSON.stringify(cities.map((city) => ["get_weather", { city }]));
  expect(target.upstream === "embedded" ? real : seen === meant, `not the upstream's calls: ${seen}`);
}

function used(target, usage) {
  const meant = target.upstream === "embedded" ? usage.outputTokens > 0 : usage.outputTokens === 5;
  expect(usage.inputTokens > 0 && meant, `usage: ${JSON.stringify(usage)}`);
}

async function streamed(options) {
  const failures = [];
  const run = streamText({ ...LIMITS, ...options, onError: ({ error }) => failures.push(error) });
  const pieces = [];
  for await (const piece of run.textStream) pieces.push(piece);
  if (failures.length) throw failures[0];
  return { pieces, calls: await run.toolCalls, usage: await run.totalUsage, finish: await run.finishReason };
}

function features(modelOf, strangerOf) {
  return {
    text: async (target) => said(target, (await generateText({ model: modelOf(target), prompt: ASK, ...LIMITS })).text),
    stream: async (target) => {
      const { pieces } = await streamed({ model: modelOf(target), prompt: ASK });
      expect(pieces.length > 1, "one piece only");
      said(target, pieces.join(""));
    },
    tools: async (target) => {
      const done = await generateText({
        ...LIMITS,
        model: modelOf(target),
        prompt: "How is the weather in Oslo?",
        tools: weather(async () => "rain"),
        prepareStep: ({ stepNumber }) => ({
          toolChoice: stepNumber === 0 ? { type: "tool", toolName: "get_weather" } : "none",
        }),
        stopWhen: stepCountIs(2),
      });
      called(target, done.steps[0].toolCalls, "Oslo");
      said(target, done.text);
    },
    "parallel tools": async (target) => {
      if (target.upstream === "embedded") throw new NotAskedError("a real model makes as many calls as it likes");
      const { calls, finish } = await streamed({ model: modelOf(target), prompt: ASK_BOTH, tools: weather() });
      called(target, calls, "Oslo", "Rome");
      expect(finish === "tool-calls", `finish reason: ${finish}`);
    },
    image: async (target) => {
      const content = [{ type: "text", text: "What is it?" }, { type: "image", image: PIXEL, mediaType: "image/png" }];
      const done = await generateText({ model: modelOf(target), messages: [{ role: "user", content }], ...LIMITS });
      said(target, done.text, SEEN);
    },
    "structured output": async (target) => {
      const { output } = await generateText({
        ...LIMITS,
        maxOutputTokens: 200,
        model: modelOf(target),
        prompt: "How is the weather in Oslo?",
        output: Output.object({ schema: jsonSchema(SCHEMA), name: "weather" }),
      });
      const seen = JSON.stringify(output);
      const real = typeof output.warm === "boolean" && typeof output.city === "string";
      expect(target.upstream === "embedded" ? real : seen === '{"city":"Oslo","warm":false}', `object: ${seen}`);
    },
    "stop reason": async (target) => {
      const done = await generateText({ model: modelOf(target), prompt: ASK, ...LIMITS, maxOutputTokens: 2 });
      expect(done.finishReason === "length", `finish reason: ${done.finishReason}`);
    },
    usage: async (target) => {
      used(target, (await generateText({ model: modelOf(target), prompt: ASK, ...LIMITS })).usage);
      used(target, (await streamed({ model: modelOf(target), prompt: ASK })).usage);
    },
    "wrong key": async (target) => {
      const status = await generateText({ model: strangerOf(target), prompt: ASK, ...LIMITS }).then(
        () => 200,
        (error) => error.statusCode,
      );
      expect(status === 401, `status: ${status}`);
    },
  };
}

function embeddings(modelOf) {
  return async (target) => {
    const { embeddings: found } = await embedMany({ model: modelOf(target), values: ["river", "wheel"], maxRetries: 0 });
    expect(found.length === 2 && found[0].length === found[1].length && found[0].length >= 8, "not two vectors");
  };
}

const where = (apiKey) => ({ baseURL: `${job.base_url}/v1`, apiKey });
const compatible = { name: "headrace", includeUsage: true, supportsStructuredOutputs: true };
const [openai, openaiStranger] = [job.api_key, "hr_nobody"].map((key) => createOpenAI(where(key)));
const [anthropic, anthropicStranger] = [job.api_key, "hr_nobody"].map((key) => createAnthropic(where(key)));
const [any, anyStranger] = [job.api_key, "hr_nobody"].map((key) => createOpenAICompatible({ ...compatible, ...where(key) }));

await report("@ai-sdk/openai · chat", {
  ...features((target) => openai.chat(target.chat), (target) => openaiStranger.chat(target.chat)),
  embeddings: embeddings((target) => openai.embeddingModel(target.embedding)),
});
await report("@ai-sdk/openai · responses", features(
  (target) => openai.responses(target.chat),
  (target) => openaiStranger.responses(target.chat),
));
await report("@ai-sdk/openai-compatible · chat", {
  ...features((target) => any.chatModel(target.chat), (target) => anyStranger.chatModel(target.chat)),
  embeddings: embeddings((target) => any.embeddingModel(target.embedding)),
});
await report("@ai-sdk/anthropic · messages", features(
  (target) => anthropic(target.chat),
  (target) => anthropicStranger(target.chat),
));
const responses = (apiKey) => createOpenResponses({ name: "headrace", url: `${job.base_url}/v1/responses`, apiKey });
const [open, openStranger] = [job.api_key, "hr_nobody"].map(responses);
await report("@ai-sdk/open-responses · responses", features(
  (target) => open(target.chat),
  (target) => openStranger(target.chat),
));
