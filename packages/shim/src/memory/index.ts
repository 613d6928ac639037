/** Memory that threads share: the door of this room. */

export * from './arena.ts'
export * from './record-view.ts'
export * from './slab.ts'
