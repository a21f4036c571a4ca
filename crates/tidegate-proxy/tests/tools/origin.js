// A Node.js origin that writes down each request it understood: method, target and the number of
// bytes of its body, one line each, in the file that is its argument. Prints its port.
'use strict';
const fs = require('fs');
const http = require('http');

const server = http.createServer((request, response) => {
  let length = 0;
  request.on('data', (chunk) => { length += chunk.length; });
  request.on('end', () => {
    fs.appendFileSync(process.argv[2], `${request.method} ${request.url} ${length}\n`);
    response.end('node');
  });
});
server.on('clientError', (error, socket) => {
  fs.appendFileSync(process.argv[2], `CONFUSED ${error.code}\n`);
  socket.destroy();
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
