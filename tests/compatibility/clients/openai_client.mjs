// The official npm `openai` SDK: chat and Responses; told and telling by node_probe.mjs.
import OpenAI from "openai";
import { ASK, ASK_BOTH, expect, job, NotAskedError, PARAMETERS, PIXEL } from "./node_probe.mjs";
import { report, said, SCHEMA, SEEN } from "./node_probe.mjs";

const clientOf = (apiKey) => new OpenAI({ baseURL: `${job.base_url}/v1`, apiKey, maxRetries: 0 });
const [client, stranger] = [job.api_key, "hr_nobody"].map(clientOf);
const WEATHER = { name: "get_weather", description: "The weather.", parameters: PARAMETERS, strict: true };
const SHAPE = { type: "json_schema", name: "weather", schema: SCHEMA, strict: true };
const PICTURE = `data:image/png;base64,${PIXEL}`;
const user = (content) => [{ role: "user", content }];

function called(target, calls, ...cities) {
  const seen = JSON.stringify(calls.map(({ name, arguments: text }) => [name, JSON.parse(text)]));
  const meant = JSON.stringify(cities.map((city) => ["get_weather", { city }]));
  const real = calls.length === 1 && typeof JSON.parse(calls[0].arguments).city === "string";
  expect(target.upstream === "embedded" ? real : seen === meant, `not the upstream's calls: ${seen}`);
}

function shaped(target, text) {
  const value = JSON.parse(text);
  const real = typeof value.warm === "boolean" && typeof value.city === "string";
  expect(target.upstream === "embedded" ? real : text === '{"city":"Oslo","warm":false}', `object: ${text}`);
}

function used(target, input, output) {
  expect(input > 0 && (target.upstream === "embedded" ? output > 0 : output === 5), `usage: ${input}, ${output}`);
}

function onlyToTheLetter(target) {
  if (target.upstream === "embedded") throw new NotAskedError("a real model makes as many calls as it likes");
}

async function unauthorized(call) {
  const status = await call().then(() => 200, (error) => error.status);
  expect(status === 401, `status: ${status}`);
}

const asked = (target, more) => ({ model: target.chat, messages: user(ASK), temperature: 0, max_tokens: 24, ...more });
const ask = async (target, more) => client.chat.completions.create(asked(target, more));
const tools = [{ type: "function", function: WEATHER }];

const chat = {
  text: async (target) => said(target, (await ask(target)).choices[0].message.content),
  stream: async (target) => {
    const pieces = [];
    for await (const chunk of await ask(target, { stream: true })) pieces.push(chunk.choices[0]?.delta.content ?? "");
    expect(pieces.filter(Boolean).length > 1, "one piece only");
    said(target, pieces.join(""));
  },
  tools: async (target) => {
    const messages = user("How is the weather in Oslo?");
    const tool_choice = { type: "function", function: { name: "get_weather" } };
    const { message } = (await ask(target, { messages, tools, tool_choice })).choices[0];
    called(target, message.tool_calls.map((call) => call.function), "Oslo");
    const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "rain" };
    said(target, (await ask(target, { messages: [...messages, message, result], tools })).choices[0].message.content);
  },
  "parallel tools": async (target) => {
    onlyToTheLetter(target);
    const run = client.chat.completions.stream(asked(target, { messages: user(ASK_BOTH), tools }));
    const { message } = (await run.finalChatCompletion()).choices[0];
    called(target, message.tool_calls.map((call) => call.function), "Oslo", "Rome");
  },
  image: async (target) => {
    const parts = [{ type: "text", text: "What is it?" }, { type: "image_url", image_url: { url: PICTURE } }];
    said(target, (await ask(target, { messages: user(parts) })).choices[0].message.content, SEEN);
  },
  "structured output": async (target) => {
    const { type, ...json_schema } = SHAPE;
    const messages = user("How is the weather in Oslo?");
    const { choices } = await ask(target, { messages, response_format: { type, json_schema }, max_tokens: 200 });
    shaped(target, choices[0].message.content);
  },
  "stop reason": async (target) => {
    const { finish_reason } = (await ask(target, { max_tokens: 2 })).choices[0];
    expect(finish_reason === "length", `finish reason: ${finish_reason}`);
  },
  usage: async (target) => {
    const { usage } = await ask(target);
    used(target, usage.prompt_tokens, usage.completion_tokens);
  },
  "wrong key": (target) => unauthorized(() => stranger.chat.completions.create(asked(target))),
  embeddings: async (target) => {
    // The client asks for base64 and decodes it.
    const { data } = await client.embeddings.create({ model: target.embedding, input: ["river", "wheel"] });
    expect(data.length === 2 && data[0].embedding.length === data[1].embedding.length, "not two vectors");
    expect(data[0].embedding.length >= 8 && data[0].embedding.every(Number.isFinite), "not numbers");
  },
};

const wanted = (target, more) => ({ model: target.chat, input: ASK, temperature: 0, max_output_tokens: 24, ...more });
const respond = async (target, more) => client.responses.create(wanted(target, more));
const callsOf = (response) => response.output.filter((item) => item.type === "function_call");
const responseTools = [{ type: "function", ...WEATHER }];

const responses = {
  text: async (target) => said(target, (await respond(target)).output_text),
  stream: async (target) => {
    const pieces = [];
    for await (const event of await respond(target, { stream: true })) {
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
    }
    expect(pieces.length > 1, "one piece only");
    said(target, pieces.join(""));
  },
  tools: async (target) => {
    const tool_choice = { type: "function", name: "get_weather" };
    const first = await respond(target, { input: "How is the weather in Oslo?", tools: responseTools, tool_choice });
    const calls = callsOf(first);
    called(target, calls, "Oslo");
    const input = [{ type: "function_call_output", call_id: calls[0].call_id, output: "rain" }];
    const second = await respond(target, { input, tools: responseTools, previous_response_id: first.id });
    said(target, second.output_text);
  },
  "parallel tools": async (target) => {
    onlyToTheLetter(target);
    const run = client.responses.stream(wanted(target, { input: ASK_BOTH, tools: responseTools }));
    called(target, callsOf(await run.finalResponse()), "Oslo", "Rome");
  },
  image: async (target) => {
    const picture = { type: "input_image", image_url: PICTURE, detail: "auto" };
    const input = user([{ type: "input_text", text: "What is it?" }, picture]);
    said(target, (await respond(target, { input })).output_text, SEEN);
  },
  "structured output": async (target) => {
    const more = { input: "How is the weather in Oslo?", text: { format: SHAPE }, max_output_tokens: 200 };
    shaped(target, (await respond(target, more)).output_text);
  },
  "stop reason": async (target) => {
    const { status, incomplete_details } = await respond(target, { max_output_tokens: 2 });
    expect(status === "incomplete" && incomplete_details.reason === "max_output_tokens", `status: ${status}`);
  },
  usage: async (target) => {
    const { usage } = await respond(target);
    used(target, usage.input_tokens, usage.output_tokens);
  },
  "wrong key": (target) => unauthorized(() => stranger.responses.create(wanted(target))),
};

await report("openai (npm) · chat", chat);
await report("openai (npm) · responses", responses);
