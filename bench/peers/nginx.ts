/**
 * nginx, one worker: split_clients for the weights, a map for the header rule, keep-alive upstreams. The buffers for bodies are
 * those that cost it least here: with its default for uploads (16k) a megabyte costs nearly twice as much, and larger ones for
 * responses cost more again.
 */
import { findProgram } from '../process.ts'
import { toldVersion } from '../versions.ts'
import { CONNECTIONS, GREEN_PERCENT, type Peer, type PeerConfig, startConfigured } from './peer.ts'
import { findSourceProgram, NGINX } from './source-program.ts'

const peer = (name: string, program: string | null, setup: string): Peer => ({
  name,
  ours: false,
  always: false,
  setup,
  version: () => versionOf(program),
  start: (config) =>
    startConfigured(config, 'nginx.conf', configuration, (file) => [
      program!,
      '-e',
      `${config.folder}/error.log`,
      '-c',
      file,
    ]),
})

const versionOf = (program: string | null) => toldVersion(program, '-v', /nginx\/(\S+)/)

/** The one of the system, as Debian builds it. */
export const nginx = peer(
  'nginx',
  findProgram('nginx'),
  'split_clients for the weights, a map for the rule, $request_id, X-Forwarded-*, Forwarded and Via; the id and Via also to the client. Upstream keep-alive and HTTP/1.1, uploads passed on as they come, 128k buffers for them and 32k for responses, nothing written to disk; no active health checks, no counters per target.',
)

const built = findSourceProgram(NGINX)

/** The one that was built from source, named by its version. */
export const nginxFromSource = peer(
  `nginx ${versionOf(built) ?? 'from source'}`,
  built,
  'configured as the other nginx, built by `npm run bench:build-peers` with -O2, without PCRE, zlib and TLS.',
)

/** It closes idle clients when less than a sixteenth of its connections is free, and those to the targets count too. */
const connectionsOf = (clients: number) => Math.ceil(clients * 1.1) + 4 * CONNECTIONS

/** What a line of Turnout's tells, as far as it knows; written as Turnout writes, in batches. */
const accessLog = (file: string | undefined) =>
  file === undefined
    ? 'access_log off;'
    : `log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method","host":"$host",'
    '"path":"$uri","status":$status,"bytes":$body_bytes_sent,"duration":$request_time,"ttfb":"$upstream_header_time",'
    '"pool":"$pool","target":"$upstream_addr","id":"$id","agent":"$http_user_agent"}';
  access_log ${file} json buffer=64k flush=1s;`

const configuration = ({ blue, green, folder, clients = 4096, accessLog: log }: PeerConfig, port: number) => `
daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid ${folder}/nginx.pid;
error_log ${folder}/error.log crit;
events { worker_connections ${connectionsOf(clients)}; }
http {
  ${accessLog(log)}
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 100000000;
  keepalive_timeout 75s;
  tcp_nodelay on;
  client_max_body_size 0;
  split_clients $request_id $share { ${GREEN_PERCENT}% green; * blue; }
  map $http_x_internal $pool { 1 green; default $share; }
  map $http_x_request_id $id { "" $request_id; default $http_x_request_id; }
  upstream blue { server 127.0.0.1:${blue}; keepalive ${CONNECTIONS}; keepalive_requests 100000000; }
  upstream green { server 127.0.0.1:${green}; keepalive ${CONNECTIONS}; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://$pool;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Request-Id $id;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header Forwarded 'for=$remote_addr;host="$http_host";proto=$scheme';
      proxy_set_header Via '1.1 nginx';
      add_header X-Request-Id $id always;
      add_header Via '1.1 nginx' always;
      proxy_request_buffering off;
      client_body_buffer_size 128k;
      proxy_buffers 16 32k;
      proxy_max_temp_file_size 0;
    }
  }
}
`
