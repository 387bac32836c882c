// Coarser grids and matrices on them, P^T A P: what coarsening.py does, with the same names.

namespace {

// What a fine point takes of a coarse one: all, the share that is stored, or what that leaves.
enum Mode { WHOLE, SHARE, REST };

template <int mode, typename T> T weight(const T* share, int64_t j) {
    return mode == WHOLE ? T(1) : mode == SHARE ? share[j] : 1 - share[j];
}

template <typename T> T weight(Mode mode, T share) { return mode == WHOLE ? T(1) : mode == SHARE ? share : 1 - share; }

// Interpolation along an axis. Points 0, 2, ... are kept; of those between, all but the last one or two are regular.
struct Line {
    struct Part { int64_t coarse, between; Mode mode; };

    int64_t fine, coarse;
    bool periodic;

    Line(int64_t n, int64_t kept, bool repeats) : fine(n), coarse(kept), periodic(repeats) {}

    bool halves() const { return coarse < fine; }
    int64_t between() const { return fine - coarse; }
    int64_t point(int64_t t) const { return t < coarse ? 2 * t + 1 : 2 * coarse; }
    int64_t first(int64_t t) const { return std::min(t, coarse - 1); }
    int64_t second(int64_t t) const { return t + 1 < coarse ? t + 1 : 0; }
    bool ends(int64_t t) const { return !periodic && t == coarse - 1; }  // it has no second parent

    // The coarse points that a point is made of; their number.
    int parents(int64_t p, Part* found) const {
        if (p % 2 == 0 && p / 2 < coarse) return found[0] = {p / 2, -1, WHOLE}, 1;
        const int64_t t = p % 2 ? p / 2 : coarse;
        found[0] = {first(t), t, SHARE};
        found[1] = {second(t), t, REST};
        return ends(t) ? 1 : 2;
    }
};

// One product that P^T A P is made of: coarse entry `reach` of `at` += fine entry `step` of `point` times two weights.
struct Term { int64_t reach, at, step, point; Line::Part mine, theirs; };

// All of one axis, or those in which points after the regular ones take part.
inline std::vector<Term> terms(const Line& line, bool irregular) {
    std::vector<Term> all;
    Line::Part mine[2], theirs[2];
    const int64_t n = line.fine, m = line.coarse;
    for (int64_t p = 0; p < n; ++p)
        for (int64_t s = -1; s <= 1; ++s) {
            int64_t q = p + s;
            if (line.periodic) q = (q + n) % n;
            if (q < 0 || q >= n || (irregular && std::max(p, q) < 2 * m - 1)) continue;
            const int a = line.parents(p, mine), b = line.parents(q, theirs);
            for (int i = 0; i < a; ++i)
                for (int j = 0; j < b; ++j) {
                    int64_t reach = theirs[j].coarse - mine[i].coarse + 1;
                    if (line.periodic) reach = (reach + m) % m;
                    all.push_back({reach, mine[i].coarse, s + 1, p, mine[i], theirs[j]});
                }
        }
    return all;
}

constexpr int STEP[3] = {9, 3, 1};  // of an offset along each axis in 27 of them, whose middle is 13

template <typename T> T ratio(T part, T whole, T otherwise) {
    const T value = part / whole;
    return std::isfinite(value) ? std::min(std::max(value, T(0)), T(1)) : otherwise;
}

// The entries of a matrix by where they reach: rows of `width` values, `stride` apart (0: all the same), or nothing.
template <typename T> struct Parts {
    struct Part { const T* data = nullptr; int64_t stride = 0; };

    int64_t shape[3];
    bool periodic[3];
    Part part[27];
    std::vector<std::vector<T>> kept;

    const T* row(int k, int64_t r) const { return part[k].data + part[k].stride * r; }

    T* add(int k, int64_t rows, int64_t width) {
        kept.emplace_back(rows * width, T(0));
        part[k] = {kept.back().data(), width};
        return kept.back().data();
    }

    // Where i + step is along an axis, -1 beyond the ends.
    int64_t reached(int axis, int64_t i, int64_t step) const {
        const int64_t n = shape[axis], other = i + step;
        if (periodic[axis]) return (other + n) % n;
        return other < n ? other : -1;
    }

    // f(first, last, shift) for the points j of a row for which j + shift is in the row too, or wraps around.
    template <class F> void along(int64_t step, F f) const {
        const int64_t w = shape[2];
        f(step < 0 ? 1 : 0, step > 0 ? w - 1 : w, step);
        if (periodic[2] && step < 0) f(0, 1, w - 1);
        if (periodic[2] && step > 0) f(w - 1, w, 1 - w);
    }

    // The shares of the points between, [outer][between][inner], as the matrix couples them to both neighbours.
    std::vector<T> shares(int axis, const Line& line, bool constant) const {
        const int64_t inner = axis == 2 ? 1 : axis == 1 ? shape[2] : shape[1] * shape[2];
        const int64_t outer = axis == 0 ? 1 : axis == 1 ? shape[0] : shape[0] * shape[1];
        const int64_t count = line.between() * inner;
        std::vector<T> share(outer * count), before(count), after(count), own(inner);
        for (int64_t o = 0; o < outer; ++o) {
            sum(axis, line, o, before, after, own);
            T* s = share.data() + o * count;
            for (int64_t i = 0; i < count; ++i) s[i] = ratio(before[i], before[i] + after[i], T(0.5));
            const int64_t last = count - inner;
            if (!line.periodic && line.fine % 2 == 0)
                for (int64_t i = 0; i < inner; ++i)
                    s[last + i] = constant ? T(1) : ratio(-before[last + i], own[i], T(1));
            if (line.periodic && line.fine % 2)
                for (int64_t i = 0; i < inner; ++i) {
                    const T one = before[last - inner + i], two = after[last - inner + i], three = after[last + i];
                    const T whole = one * two + two * three + three * one;
                    s[last - inner + i] = ratio(one * (two + three), whole, T(2) / 3);
                    s[last + i] = ratio(one * two, whole, T(1) / 3);
                }
        }
        return share;
    }

    // Entries of the points between that reach back and on, over all that other axes couple; of the last point, stay.
    void sum(int axis, const Line& line, int64_t o, std::vector<T>& before, std::vector<T>& after,
             std::vector<T>& own) const {
        for (std::vector<T>* all : {&before, &after, &own}) std::fill(all->begin(), all->end(), T(0));
        const int64_t m = line.between();
        for (int k = 0; k < 27; ++k) {
            if (!part[k].data) continue;
            const int64_t step[3] = {k / 9 - 1, k / 3 % 3 - 1, k % 3 - 1};
            if (axis == 2) {
                const int64_t i = reached(0, o / shape[1], step[0]), j = reached(1, o % shape[1], step[1]);
                if (i < 0 || j < 0) continue;
                const T* x = row(k, o);
                T* to = (step[2] < 0 ? before : after).data();
                if (step[2] == 0)
                    own[0] += x[line.fine - 1];
                else
                    for (int64_t t = 0; t < m; ++t) to[t] += x[line.point(t)];
                continue;
            }
            const int64_t others = axis == 1 ? 1 : shape[1], last = line.fine - 1;
            for (int64_t t = step[axis] ? 0 : m; t < (step[axis] ? m : m + 1); ++t)
                for (int64_t j = 0; j < others; ++j) {
                    if (axis == 1 ? reached(0, o, step[0]) < 0 : reached(1, j, step[1]) < 0) continue;
                    const int64_t p = t < m ? line.point(t) : last;
                    const T* x = row(k, axis == 1 ? o * shape[1] + p : p * shape[1] + j);
                    T* to = (step[axis] < 0 ? before : step[axis] > 0 ? after : own).data();
                    to += ((t < m ? t : 0) * others + j) * shape[2];
                    along(step[2], [&](int64_t a, int64_t b, int64_t) {
                        for (int64_t i = a; i < b; ++i) to[i] += x[i];
                    });
                }
        }
    }

    // P^T A P along one axis.
    Parts coarsened(int axis, const Line& line, const std::vector<T>& share) const {
        Parts next;
        std::copy(shape, shape + 3, next.shape);
        std::copy(periodic, periodic + 3, next.periodic);
        next.shape[axis] = line.coarse;
        const std::vector<Term> all = terms(line, axis == 2);
        const std::vector<T> nothing(shape[2], T(0));
        for (int middle = 0; middle < 27; ++middle) {
            if (middle / STEP[axis] % 3 != 1) continue;
            Part given[3];
            bool some = false;
            for (int s = 0; s < 3; ++s) {
                given[s] = part[middle + (s - 1) * STEP[axis]];
                some = some || given[s].data;
                if (!given[s].data) given[s] = {nothing.data(), -1};
            }
            if (!some) continue;
            T* result[3];
            for (int s = 0; s < 3; ++s)
                result[s] = next.add(middle + (s - 1) * STEP[axis], next.shape[0] * next.shape[1], next.shape[2]);
            const int64_t rest[3] = {middle / 9 - 1, middle / 3 % 3 - 1, middle % 3 - 1};
            if (axis == 2)
                within_rows(given, result, rest, line, share, all);
            else
                across_rows(axis, given, result, rest, line, share, all);
        }
        return next;
    }

    void across_rows(int axis, const Part* given, T* const* result, const int64_t* rest, const Line& line,
                     const std::vector<T>& share, const std::vector<Term>& all) const {
        const int64_t w = shape[2], others = axis == 1 ? shape[0] : shape[1], m = line.between();
        for (int64_t o = 0; o < others; ++o) {
            const int64_t there = reached(1 - axis, o, rest[1 - axis]);
            if (there < 0) continue;
            for (const Term& term : all) {
                const Part& from = given[term.step];
                if (from.stride < 0) continue;
                const T* x = from.data + from.stride * (axis == 1 ? o * line.fine + term.point : term.point * others + o);
                T* y = result[term.reach] + (axis == 1 ? o * line.coarse + term.at : term.at * others + o) * w;
                auto of = [&](int64_t other, int64_t t) {
                    return share.data() + std::max<int64_t>(0, axis == 1 ? other * m + t : t * others + other) * w;
                };
                const T *mine = of(o, term.mine.between), *theirs = of(there, term.theirs.between);
                const auto accumulate = ACCUMULATE[3 * term.mine.mode + term.theirs.mode];
                along(rest[2], [&](int64_t a, int64_t b, int64_t shift) { accumulate(y, x, mine, theirs, a, b, shift); });
            }
        }
    }

    template <int mine, int theirs>
    static void accumulate(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ u, const T* __restrict__ v,
                           int64_t first, int64_t last, int64_t shift) {
        for (int64_t j = first; j < last; ++j) y[j] += weight<mine>(u, j) * x[j] * weight<theirs>(v, j + shift);
    }

    using Accumulate = void (*)(T*, const T*, const T*, const T*, int64_t, int64_t, int64_t);
    static constexpr Accumulate ACCUMULATE[9] = {
        accumulate<WHOLE, WHOLE>, accumulate<WHOLE, SHARE>, accumulate<WHOLE, REST>,
        accumulate<SHARE, WHOLE>, accumulate<SHARE, SHARE>, accumulate<SHARE, REST>,
        accumulate<REST, WHOLE>,  accumulate<REST, SHARE>,  accumulate<REST, REST>};

    void within_rows(const Part* given, T* const* result, const int64_t* rest, const Line& line,
                     const std::vector<T>& share, const std::vector<Term>& irregular) const {
        const int64_t m = line.coarse, count = line.between();
        for (int64_t row = 0; row < shape[0] * shape[1]; ++row) {
            const int64_t i = reached(0, row / shape[1], rest[0]), j = reached(1, row % shape[1], rest[1]);
            if (i < 0 || j < 0) continue;
            const T* in[3];
            T* out[3];
            for (int s = 0; s < 3; ++s) {
                in[s] = given[s].data + std::max<int64_t>(given[s].stride, 0) * row;
                out[s] = result[s] + row * m;
            }
            const T *mine = share.data() + row * count, *theirs = share.data() + (i * shape[1] + j) * count;
            regular(in[0], in[1], in[2], mine, theirs, out[0], out[1], out[2], m);
            for (const Term& term : irregular) {
                const T u = weight(term.mine.mode, mine[std::max<int64_t>(0, term.mine.between)]);
                const T v = weight(term.theirs.mode, theirs[std::max<int64_t>(0, term.theirs.between)]);
                out[term.reach][term.at] += u * in[term.step][term.point] * v;
            }
        }
    }

    // From the entries (l, c, r) of a row, and the shares of its points between and of those where the entries reach.
    static void regular(const T* __restrict__ l, const T* __restrict__ c, const T* __restrict__ r,
                        const T* __restrict__ mine, const T* __restrict__ theirs, T* __restrict__ back,
                        T* __restrict__ own, T* __restrict__ on, int64_t m) {
        for (int64_t t = 0; t + 1 < m; ++t) {
            const int64_t p = 2 * t + 1;
            const T u = mine[t], v = theirs[t];
            on[t] = r[p - 1] * (1 - v) + u * (c[p] * (1 - v) + r[p]);
            back[t + 1] = l[p + 1] * v + (1 - u) * (c[p] * v + l[p]);
            own[t] = c[p - 1] + r[p - 1] * v + u * (c[p] * v + l[p]);
        }
        own[m - 1] = c[2 * m - 2];
        for (int64_t t = 0; t + 1 < m; ++t) {
            const int64_t p = 2 * t + 1;
            own[t + 1] += l[p + 1] * (1 - theirs[t]) + (1 - mine[t]) * (c[p] * (1 - theirs[t]) + r[p]);
        }
    }
};

}  // namespace
