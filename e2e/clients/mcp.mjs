// A client of the MCP TypeScript SDK, driven by lines: a JSON command on stdin, a JSON reply on stdout, in order.
//
//   {"op": "tools"}
//   {"op": "call", "name", "arguments", "cancel_at"?}    cancelled when a progress notification has that text
//   {"op": "read", "uri"}
//
// Replies are {"result", "progress": [[number, message]]} or {"error"}. MCP_URL, MCP_TRANSPORT and MCP_HEADERS say where.
import readline from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const { MCP_URL, MCP_TRANSPORT, MCP_HEADERS } = process.env;
const requestInit = { headers: JSON.parse(MCP_HEADERS) };
const Transport = MCP_TRANSPORT === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
const client = new Client({ name: 'codesession-e2e', version: '1' });

async function call({ name, arguments: given, cancel_at: cancelAt }, progress) {
  const stop = new AbortController();
  const onprogress = ({ progress: number, message }) => {
    progress.push([number, message]);
    if (cancelAt && message.includes(cancelAt)) stop.abort('the test has seen enough');
  };
  return client.callTool({ name, arguments: given }, undefined, { signal: stop.signal, onprogress, timeout: 300_000 });
}

const operations = {
  tools: () => client.listTools(),
  call,
  read: ({ uri }) => client.readResource({ uri }),
};

await client.connect(new Transport(new URL(MCP_URL), { requestInit }));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const progress = [];
  let reply;
  try {
    reply = { result: await operations[command.op](command, progress), progress };
  } catch (error) {
    reply = { error: String(error?.message ?? error), progress };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await client.close();
