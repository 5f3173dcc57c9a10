/** One string for a target of a pool of a service, or for one address of it; neither names nor URLs hold a line break. */
export function targetKey(service: string, pool: string, url: string, address?: string): string {
  const key = `${service}\n${pool}\n${url}`
  return address === undefined ? key : `${key}\n${address}`
}
