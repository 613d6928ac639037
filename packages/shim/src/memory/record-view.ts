/**
 * Views of structures in an arena: a structure description of `@cowherd/kernel-lib` becomes a class whose objects look at one
 * structure after another, with a property for each field. A view is made once and moved; numbers are read and written without an
 * allocation.
 *
 *     const Point = struct({ x: u32, y: u32 })
 *     const PointView = recordView(Point)
 *     const point = new PointView(arena)
 *     point.at = slab.allocate()
 *     point.x += 1
 *     Atomics.add(arena.ints, point.at + PointView.word.y, 1)
 */

import { u16, u32, u8, type Field, type Struct, type ValueOf } from '@cowherd/kernel-lib'
import type { Arena } from './arena.ts'

/** A movable view. */
export interface RecordView {
  /** Word of the arena at which the structure begins. */
  at: number
}

/** The class of views of one kind of structure. */
export interface RecordViewClass<F extends Record<string, Field<unknown>>> {
  new (arena: Arena, at?: number): RecordView & { [K in keyof F]: ValueOf<F[K]> }
  /** Bytes of a structure. */
  readonly bytes: number
  /** Words between the beginning and a field, for `Atomics`: of those fields that begin on a word. */
  readonly word: { readonly [K in keyof F]: number }
}

/** Makes the class of views of `layout`. Throws RangeError if it has a field that is named like what views have of their own. */
export function recordView<F extends Record<string, Field<unknown>>>(layout: Struct<F>): RecordViewClass<F> {
  for (const name of ['at', 'view']) if (name in layout.fields) throw new RangeError(`a field named ${name}`)
  class View {
    at: number
    readonly view: DataView
    static readonly bytes = layout.size
    static readonly word = Object.fromEntries(
      Object.entries(layout.offsets).map(([name, offset]: [string, number]) => [name, offset / 4]),
    )
    constructor(arena: Arena, at = 0) {
      this.view = arena.view
      this.at = at
    }
  }
  for (const [name, field] of Object.entries(layout.fields)) {
    Object.defineProperty(View.prototype, name, accessors(field, layout.offsets[name]))
  }
  return View as unknown as RecordViewClass<F>
}

interface Looking {
  readonly at: number
  readonly view: DataView
}

/** One pair of functions for each size of numbers: each stays simple for the compiler. */
function accessors(field: Field<unknown>, offset: number): PropertyDescriptor & ThisType<Looking> {
  switch (field) {
    case u8:
      return {
        get() {
          return this.view.getUint8(this.at * 4 + offset)
        },
        set(value: number) {
          this.view.setUint8(this.at * 4 + offset, value)
        },
      }
    case u16:
      return {
        get() {
          return this.view.getUint16(this.at * 4 + offset, true)
        },
        set(value: number) {
          this.view.setUint16(this.at * 4 + offset, value, true)
        },
      }
    case u32:
      return {
        get() {
          return this.view.getUint32(this.at * 4 + offset, true)
        },
        set(value: number) {
          this.view.setUint32(this.at * 4 + offset, value, true)
        },
      }
    default:
      return {
        get() {
          return field.read(this.view, this.at * 4 + offset)
        },
        set(value: unknown) {
          field.write(this.view, this.at * 4 + offset, value)
        },
      }
  }
}
