/** Whether a setting that may be a URL or a file is a URL. */
export const isUrl = (text: string): boolean => /^https?:\/\//i.test(text)

/** Why nobody can be asked or called by this URL of http or https, as words that follow what it is; null when somebody can. */
export function calledUrlFault(text: string): string | null {
  const url = URL.parse(text)
  if (url === null) return `${JSON.stringify(text)} is not an http or https URL`
  return url.username === '' && url.password === '' ? null : 'a name and password in the URL are not sent'
}
