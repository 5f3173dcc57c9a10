/** Targets whose hosts and ports are said by SRV records (RFC 2782): `srv+http://_web._tcp.service.consul`. Pure. */

/** What the scheme of such a target begins with. */
export const SRV_PREFIX = 'srv+'

/** Whether the hosts and ports of a target are those of SRV records. */
export const isSrvUrl = (url: string): boolean => url.slice(0, SRV_PREFIX.length).toLowerCase() === SRV_PREFIX

const LABELS = /^_[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\._([a-z0-9](?:[a-z0-9_-]*[a-z0-9])?)\.[^.]/

/** What is wrong with the host and port of such a target, as they are written, or null. The host has its one form. */
export function badSrv(host: string, port: string | undefined, text: string): string | null {
  const shown = JSON.stringify(text)
  if (port !== undefined) return `${shown}: its SRV records say the port: leave out ":${port}"`
  const labels = LABELS.exec(host)
  if (labels === null) {
    const meant = /^[0-9.]+$|^\[/.test(host)
      ? 'an address has no SRV records: write'
      : 'or for a name without SRV records'
    return `${shown}: SRV records have a name such as _web._tcp.example.com; ${meant} ${text.slice(SRV_PREFIX.length)}:PORT`
  }
  return labels[1] === 'udp' ? `${shown}: HTTP needs _tcp in the place of _udp` : null
}
