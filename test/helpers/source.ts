/**
 * Facts about source files, for test/tidy.test.ts: read from the syntax tree of the TypeScript compiler, so a word in a
 * comment or a string is never taken for code. `typescript` 7 gives its tree as `typescript/unstable/sync`; the version is
 * pinned, and this is the only file that uses it.
 */
import { posix } from 'node:path'
import { type Node, type SourceFile, SyntaxKind } from 'typescript/unstable/ast'
import { createVirtualFileSystem } from 'typescript/unstable/fs'
import { API } from 'typescript/unstable/sync'

export interface Import {
  /** The specifier as written. */
  readonly from: string
  /** Path of the imported file of this project, or null for packages and node:*. */
  readonly file: string | null
  /** True when nothing of it is left at run time. */
  readonly typeOnly: boolean
  /** Names taken, `*` for all of it. */
  readonly names: readonly string[]
  readonly line: number
}

export interface FunctionFact {
  readonly name: string
  readonly line: number
  readonly lines: number
}

export interface FileFacts {
  readonly path: string
  readonly text: string
  readonly lines: number
  readonly imports: readonly Import[]
  /** Files named by `new URL('./x.ts', import.meta.url)`: workers, pages. */
  readonly urls: readonly string[]
  readonly functions: readonly FunctionFact[]
  /** Names used as values, with the member where one is taken: `Date.now`, `setTimeout`, `new Date()`. Never those of types. */
  readonly words: readonly { readonly word: string; readonly line: number }[]
  readonly strings: ReadonlySet<string>
  readonly classes: readonly string[]
  /** Exported functions and classes that no comment stands above. */
  readonly undocumented: readonly string[]
  /** True when the file only passes on what others export. */
  readonly barrel: boolean
}

/** Facts by path. `files` are paths (`src/a.ts`) and their text. */
export function readFacts(files: Readonly<Record<string, string>>): Map<string, FileFacts> {
  const absolute = Object.fromEntries(Object.entries(files).map(([path, text]) => [`/project/${path}`, text]))
  const config = JSON.stringify({ compilerOptions: { noLib: true, noResolve: true, types: [] }, include: ['**/*'] })
  const fs = createVirtualFileSystem({ ...absolute, '/project/tsconfig.json': config })
  const api = new API({ cwd: '/project', fs })
  try {
    const [project] = api.updateSnapshot({ openProjects: ['/project/tsconfig.json'] }).getProjects()
    return new Map(
      Object.entries(files).map(([path, text]) => {
        const source = project.program.getSourceFile(`/project/${path}`)
        if (source === undefined) throw new Error(`${path} was not parsed`)
        return [path, new Collector(path, text, source).facts()]
      }),
    )
  } finally {
    api.close()
  }
}

const FUNCTIONS = new Set([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.FunctionExpression,
  SyntaxKind.ArrowFunction,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.Constructor,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
])

const TYPES = new Set([
  SyntaxKind.TypeReference,
  SyntaxKind.InterfaceDeclaration,
  SyntaxKind.TypeAliasDeclaration,
  SyntaxKind.TypeQuery,
  SyntaxKind.ImportDeclaration,
  SyntaxKind.ExportDeclaration,
])

const DECLARATIONS = new Set([SyntaxKind.FunctionDeclaration, SyntaxKind.ClassDeclaration])

interface Loose {
  readonly name?: Node & { readonly text?: string }
  readonly expression?: Node & { readonly text?: string }
  readonly moduleSpecifier?: Node & { readonly text?: string }
  readonly importClause?: Node
  readonly exportClause?: Node
  readonly isTypeOnly?: boolean
  readonly phaseModifier?: SyntaxKind
  readonly arguments?: readonly (Node & { readonly text?: string })[]
  readonly modifiers?: readonly Node[]
  readonly text?: string
}
const loose = (node: Node) => node as unknown as Loose
const textOf = (node: Node | undefined) => (node === undefined ? '' : (loose(node).text ?? ''))

class Collector {
  private readonly imports: Import[] = []
  private readonly urls: string[] = []
  private readonly functions: FunctionFact[] = []
  private readonly words: { word: string; line: number }[] = []
  private readonly strings = new Set<string>()
  private readonly classes: string[] = []
  private readonly path: string
  private readonly text: string
  private readonly source: SourceFile

  constructor(path: string, text: string, source: SourceFile) {
    this.path = path
    this.text = text
    this.source = source
  }

  facts(): FileFacts {
    const statements = [...this.source.statements]
    for (const statement of statements) this.visit(statement, this.source)
    const { path, text, imports, urls, functions, words, strings, classes } = this
    const exportsOnly = (node: Node) =>
      node.kind === SyntaxKind.ExportDeclaration && loose(node).moduleSpecifier !== undefined
    return {
      path,
      text,
      lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0),
      imports,
      urls,
      functions,
      words,
      strings,
      classes,
      undocumented: this.undocumented(statements),
      barrel: statements.length > 0 && statements.every(exportsOnly),
    }
  }

  private visit(node: Node, parent: Node): void {
    const { kind } = node
    if (kind === SyntaxKind.ImportDeclaration || kind === SyntaxKind.ExportDeclaration) this.addImport(node)
    else if (kind === SyntaxKind.CallExpression) this.addDynamicImport(node)
    else if (kind === SyntaxKind.NewExpression) this.addNew(node)
    else if (FUNCTIONS.has(kind)) this.addFunction(node, parent)
    else if (kind === SyntaxKind.ClassDeclaration) this.classes.push(textOf(loose(node).name))
    else if (kind === SyntaxKind.StringLiteral) this.strings.add(textOf(node))
    else if (kind === SyntaxKind.Identifier) this.addWord(node, parent)
    if (TYPES.has(kind)) return
    node.forEachChild((child) => {
      this.visit(child, node)
    })
  }

  private addImport(node: Node): void {
    const { moduleSpecifier, importClause, exportClause, isTypeOnly } = loose(node)
    if (moduleSpecifier === undefined) return
    const clause = importClause === undefined ? undefined : loose(importClause)
    // `import { type A }` is none: it leaves an import of nothing, which still runs the file.
    const typeOnly =
      isTypeOnly === true || clause?.isTypeOnly === true || clause?.phaseModifier === SyntaxKind.TypeKeyword
    const names: string[] = []
    const collect = (child: Node): void => {
      if (child.kind === SyntaxKind.ImportSpecifier || child.kind === SyntaxKind.ExportSpecifier) {
        names.push(textOf(loose(child).name))
      } else if (child.kind === SyntaxKind.NamespaceImport || child.kind === SyntaxKind.Identifier) {
        names.push('*')
      } else child.forEachChild(collect)
    }
    importClause?.forEachChild(collect)
    exportClause?.forEachChild(collect)
    this.pushImport(textOf(moduleSpecifier), typeOnly, names, node)
  }

  private addDynamicImport(node: Node): void {
    const { expression, arguments: given } = loose(node)
    if (expression?.kind !== SyntaxKind.ImportKeyword || given?.[0]?.kind !== SyntaxKind.StringLiteral) return
    this.pushImport(textOf(given[0]), false, ['*'], node)
  }

  private pushImport(from: string, typeOnly: boolean, names: readonly string[], node: Node): void {
    const file = from.startsWith('.') ? posix.join(posix.dirname(this.path), from) : null
    this.imports.push({ from, file, typeOnly, names, line: this.lineAt(node.getStart(this.source)) })
  }

  private addNew(node: Node): void {
    const { expression, arguments: given } = loose(node)
    if (textOf(expression) === 'Date' && (given?.length ?? 0) === 0) {
      this.words.push({ word: 'new Date()', line: this.lineAt(node.getStart(this.source)) })
    }
    if (textOf(expression) !== 'URL' || given?.[0]?.kind !== SyntaxKind.StringLiteral || given.length < 2) return
    const from = textOf(given[0])
    if (from.startsWith('.')) this.urls.push(posix.join(posix.dirname(this.path), from))
  }

  private addFunction(node: Node, parent: Node): void {
    const line = this.lineAt(node.getStart(this.source))
    this.functions.push({ name: this.nameOf(node, parent), line, lines: this.lineAt(node.end) - line + 1 })
  }

  private addWord(node: Node, parent: Node): void {
    const own = loose(parent)
    const isMember = parent.kind === SyntaxKind.PropertyAccessExpression
    // The name of a member or of a declaration is no use of what it may be called after; `{ a }` is one.
    if (own.name === node && parent.kind !== SyntaxKind.ShorthandPropertyAssignment) return
    const word = isMember && own.expression === node ? `${textOf(node)}.${textOf(own.name)}` : textOf(node)
    this.words.push({ word, line: this.lineAt(node.getStart(this.source)) })
  }

  private nameOf(node: Node, parent: Node): string {
    if (node.kind === SyntaxKind.Constructor) return 'constructor'
    const own = loose(node).name ?? loose(parent).name
    if (own !== undefined) return textOf(own)
    return '(without a name)'
  }

  /** Of several declarations of one name (overloads) one comment is enough. */
  private undocumented(statements: readonly Node[]): string[] {
    const exported = (node: Node) =>
      loose(node).modifiers?.some(({ kind }) => kind === SyntaxKind.ExportKeyword) ?? false
    const documented = new Map<string, boolean>()
    for (const node of statements) {
      if (!DECLARATIONS.has(node.kind) || !exported(node)) continue
      const name = this.nameOf(node, node)
      const comment = this.text.slice(node.pos, node.getStart(this.source)).includes('/**')
      documented.set(name, comment || documented.get(name) === true)
    }
    return [...documented].filter(([, comment]) => !comment).map(([name]) => name)
  }

  private lineAt(position: number): number {
    let line = 1
    for (let i = this.text.indexOf('\n'); i >= 0 && i < position; i = this.text.indexOf('\n', i + 1)) line++
    return line
  }
}
