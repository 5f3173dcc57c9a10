/** What each test file begins with: files that share a process leave no memory behind. */
import { afterAll } from 'vitest'
import { giveBackMemory } from './helpers/shared-memory.ts'

afterAll(giveBackMemory)
