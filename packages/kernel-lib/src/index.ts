export * from './decimal.ts'
export * from './struct.ts'
export * from './text.ts'
