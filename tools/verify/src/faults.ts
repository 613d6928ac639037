/** What was found wrong with a volume: a line each, with its place. One in ruins says no more than anybody reads. */

const FAULTS_MAX = 200

export class Faults {
  private readonly lines: string[] = []
  private more = 0

  add(place: string, what: string): void {
    if (this.lines.length < FAULTS_MAX) this.lines.push(`${place}: ${what}`)
    else this.more++
  }

  get list(): string[] {
    return this.more === 0 ? [...this.lines] : [...this.lines, `and ${this.more} more`]
  }
}
