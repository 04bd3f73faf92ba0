/** Server-Sent Events of a response, each when it has come. */

export type Event = [name: string, data: any];

const EVENT = /^event: (\w+)\ndata: (.*)$/s;

export async function* events(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Event> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const found = EVENT.exec(block); // a comment keeps the connection alive, and is none
      if (found) yield [found[1], JSON.parse(found[2])];
    }
  }
}
