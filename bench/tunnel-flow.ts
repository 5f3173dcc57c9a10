/**
 * The receivers of `bench/tunnels.ts`, as a process of their own: raw tunnels that take what the target sends as fast as it comes.
 *
 * Arguments: port, octets of payload in a frame, tunnels. Answers each message of its parent with the octets so far.
 */
import { connect } from 'node:net'

const [port, frame, tunnels] = process.argv.slice(2).map(Number)
const request = `GET /flow?frame=${frame} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
let bytes = 0
let isBroken = false
for (let i = 0; i < tunnels; i++) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('data', (chunk) => {
    bytes += chunk.length
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    isBroken = true
  })
  socket.write(request)
}
process.on('message', () => process.send!(isBroken ? -1 : bytes))
