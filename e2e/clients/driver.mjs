// LibreChat's side of the wire, driven by lines: a JSON command on stdin, a JSON reply on stdout, in order.
//
//   {"op": "call", "tool", "args", "files"}                    one tool call, as LibreChat builds the tool
//   {"op": "program", "tool", "code", "tools", "timeout"?}     run_tools_with_code or run_tools_with_bash; `tools` are by name
//                                                             what they result in, {value} or {error}, else {got: input}
//   {"op": "turn", "conversation", "tool", "args", "files"?}   through the ToolNode, which carries files over
//   {"op": "upload", "path", "fields": [[name, value]], "files": [{"name", "base64"}]}
//   {"op": "http", "method", "path", "query", "timeout_ms"?}
//
// Replies are {"result"} or {"error": {name, message}}. CODE_API_* give the client's version, base URL, key and bearer token.
import http from 'node:http';
import readline from 'node:readline';
import { Readable } from 'node:stream';
import axios from 'axios';
import FormData from 'form-data';
import { AIMessage } from '@langchain/core/messages';

const { CODE_API_VERSION: version, CODE_API_BASE: base, CODE_API_KEY: key, CODE_API_BEARER: bearer } = process.env;
const is = (...releases) => releases.some((release) => version.startsWith(`${release}.`));
const legacy = is('2.4', '3.1');
// Of 2.4 the model itself names the session whose files it wants; there is no bash.
const sessionIsArgument = is('2.4');
// What the clients log must not mix with the replies.
for (const level of ['log', 'info', 'warn', 'debug']) console[level] = console.error;

// Those before 3.9 read their endpoint when they are imported; the legacy ones insist on a key.
process.env.LIBRECHAT_CODE_BASEURL = base;
process.env.LIBRECHAT_CODE_API_KEY = key || 'unused';
const agents = (module) => import(`./agents/esm/tools/${module}.mjs`);
const { createCodeExecutionTool } = await agents('CodeExecutor');
const createPythonProgramTool = is('2.4') ? undefined : (await agents('ProgrammaticToolCalling')).createProgrammaticToolCallingTool;
const createBashProgramTool = legacy ? undefined : (await agents('BashProgrammaticToolCalling')).createBashProgrammaticToolCallingTool;
const { ToolNode } = await agents('ToolNode');
const createBashExecutionTool = legacy ? undefined : (await agents('BashExecutor')).createBashExecutionTool;

const USER = '64b7f0000000000000000001';
const headers = { ...(key && { 'X-API-Key': key }), ...(bearer && { Authorization: `Bearer ${bearer}` }) };
const toBase = (path) => base.replace(/\/+$/, '') + path;
// LibreChat before 0.8.4 kept its sockets open, which broke later calls; it is the harder client to serve.
const request = axios.create(legacy ? {} : { httpAgent: new http.Agent({ keepAlive: false }) });

function createTool(name, files) {
  if (legacy) return createCodeExecutionTool({ user_id: USER, files, LIBRECHAT_CODE_API_KEY: process.env.LIBRECHAT_CODE_API_KEY });
  // What 3.2 is given and does not know goes out with the request.
  const placed = is('3.2') ? {} : { baseUrl: base, executionProfile: 'default', codeSessionKey: 'execute_code' };
  const common = { files, ...placed, authHeaders: () => headers };
  return name === 'bash_tool' ? createBashExecutionTool(common) : createCodeExecutionTool({ user_id: USER, ...common });
}

const reading = ({ content, artifact, status }) => ({ content, artifact: artifact ?? null, status: status ?? 'success' });

let calls = 0;
const toolCall = (name, args) => ({ name, args, id: `call_${++calls}`, type: 'tool_call' });

const call = async ({ tool, args, files }) => reading(await createTool(tool, files).invoke(toolCall(tool, args)));

// One call whose program calls tools; `calls` are those that it made.
async function program({ tool: name, code, tools, timeout }) {
  const create = name === 'run_tools_with_bash' ? createBashProgramTool : createPythonProgramTool;
  const given = legacy ? { apiKey: process.env.LIBRECHAT_CODE_API_KEY } : { baseUrl: base, authHeaders: () => headers };
  const parameters = { type: 'object', properties: {} };
  const toolDefs = Object.keys(tools).map((called) => ({ name: called, description: called, parameters, allowed_callers: ['code_execution'] }));
  const made = [];
  const invoked = (called, { value, error }) => async (input) => {
    made.push([called, input]);
    if (error !== undefined) throw new Error(error);
    return value ?? { got: input };
  };
  const entries = Object.entries(tools).map(([called, outcome]) => [called, { name: called, schema: parameters, invoke: invoked(called, outcome) }]);
  const args = { code, ...(timeout && { timeout }) };
  const message = await create(given).invoke({ ...toolCall(name, args), toolMap: new Map(entries), toolDefs });
  return { ...reading(message), calls: made };
}

const conversations = new Map();

function conversation(name, files) {
  if (!conversations.has(name)) {
    const sessions = new Map();
    if (files.length > 0) {
      const session_id = files[0].storage_session_id ?? files[0].session_id;
      sessions.set('execute_code', { session_id, files, lastUpdated: Date.now() });
    }
    const tools = legacy ? ['execute_code'] : ['execute_code', 'bash_tool'];
    const primed = sessionIsArgument ? files : undefined;
    conversations.set(name, { sessions, node: new ToolNode({ tools: tools.map((t) => createTool(t, primed)), sessions }) });
  }
  return conversations.get(name);
}

// What a model of 2.4 does: the session id of the last answer that told it one.
const remembered = (read) => /^session_id: (\S+)$/m.exec(read)?.[1];

async function turn({ conversation: name, tool, args, files = [] }) {
  const state = conversation(name, files);
  const { node, sessions } = state;
  const given = state.told ? { ...args, session_id: state.told } : args;
  const message = new AIMessage({ content: '', tool_calls: [toolCall(tool, given)] });
  const { messages } = await node.invoke({ messages: [message] }, {});
  if (sessionIsArgument) state.told = remembered(messages[0].content) ?? state.told;
  const carried = sessionIsArgument ? [] : (sessions.get('execute_code')?.files ?? []);
  return { ...reading(messages[0]), carried };
}

async function upload({ path, fields, files }) {
  const form = new FormData();
  for (const [name, value] of fields) form.append(name, value);
  // `filepath` keeps directories, and the stream leaves the length unknown, so the body is chunked.
  for (const { name, base64 } of files) form.append('file', Readable.from([Buffer.from(base64, 'base64')]), { filepath: name });
  const { data } = await request.post(toBase(path), form, {
    headers: { ...form.getHeaders(), ...headers, 'User-Agent': 'LibreChat/1.0', 'User-Id': USER },
    timeout: 120000,
    maxBodyLength: Infinity,
  });
  return data;
}

async function plain({ method, path, query, timeout_ms = 15000 }) {
  const response = await request.request({
    method,
    url: toBase(path),
    params: query,
    headers: { ...headers, 'User-Agent': 'LibreChat/1.0' },
    responseType: 'arraybuffer',
    timeout: timeout_ms,
    validateStatus: () => true,
  });
  return { status: response.status, headers: { ...response.headers }, base64: Buffer.from(response.data).toString('base64') };
}

const operations = { call, program, turn, upload, http: plain };

const shown = (error) => ({ name: error.name, message: error.response ? `HTTP ${error.response.status}` : error.message });

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { op, ...command } = JSON.parse(line);
  let reply;
  try {
    reply = { result: await operations[op](command) };
  } catch (error) {
    reply = { error: shown(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
