// A page that uses what browsers use: a fetch with a large body, server-sent events and a
// WebSocket. It reports what it saw; the report is the second line that this program prints, the
// first is its port.
"use strict";
const crypto = require("node:crypto");
const http = require("node:http");

const PAGE = `<!doctype html><title>shop</title><script>
const upload = fetch("/upload", { method: "POST", body: "x".repeat(1000000) }).then((r) => r.text());
const events = new Promise((done) => {
  const seen = [];
  const source = new EventSource("/events");
  source.onmessage = (event) => {
    seen.push(event.data);
    if (seen.length === 3) { source.close(); done(seen.join("")); }
  };
});
const socket = new Promise((done, failed) => {
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
  socket.onopen = () => socket.send("ping");
  socket.onmessage = (event) => done(event.data);
  socket.onerror = () => failed(new Error("the socket failed"));
});
Promise.all([upload, events, socket]).then(
  ([upload, events, socket]) => ({ upload, events, socket }),
  (error) => ({ error: String(error) }),
).then((report) => {
  report.protocol = performance.getEntriesByType("navigation")[0].nextHopProtocol;
  report.cookies = document.cookie;
  return fetch("/report", { method: "POST", body: JSON.stringify(report) });
});
</script>`;

const server = http.createServer((request, response) => {
  if (request.url === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    let sent = 0;
    const timer = setInterval(() => {
      response.write(`data: ${sent}\n\n`);
      sent += 1;
      if (sent === 3) clearInterval(timer);
    }, 10);
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    if (request.url === "/report") console.log(body.toString());
    response.writeHead(200, { "content-type": "text/html" });
    response.end(request.url === "/upload" ? String(body.length) : PAGE);
  });
});

// RFC 6455 for one short text message, which is sent back.
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = crypto.createHash("sha1").update(key).digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.on("error", () => {});
  socket.once("data", (frame) => {
    const length = frame[1] & 0x7f;
    const mask = frame.subarray(2, 6);
    const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]));
    socket.write(Buffer.concat([Buffer.from([0x81, length]), text]));
  });
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
