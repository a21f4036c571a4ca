// A small web server without dependencies. It listens on the port it is given and, on SIGTERM,
// finishes what it has begun.
'use strict';

const http = require('node:http');
const { version } = require('./package.json');

const server = http.createServer((request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  if (request.url === '/health') {
    response.end('ok\n');
  } else if (request.url === '/') {
    response.end(`hello from ${version}\n`);
  } else {
    response.statusCode = 404;
    response.end('nothing here\n');
  }
});

server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
