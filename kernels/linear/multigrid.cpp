// Geometric multigrid for stencils: coarser matrices, V-cycles and whole solves, as coarsening.py and multigrid.py.

namespace {

// Interpolation along one axis, as in coarsening.py; an axis that is not coarsened has fine == coarse.
template <typename T> struct Line {
    struct Part { int64_t point, coarse; T weight; };

    int64_t fine, coarse;
    bool periodic;
    T end = 1;

    Line(int64_t n, bool repeats) : fine(n), coarse(n), periodic(repeats) {
        if (n >= (repeats ? 6 : 4)) coarse = repeats ? n / 2 : (n + 1) / 2;
    }

    bool halves() const { return coarse < fine; }
    int64_t regular() const { return halves() ? 2 * coarse - 1 : fine; }

    // The coarse points that a point is made of, two at most; their number.
    int parents(int64_t p, Part* found) const {
        if (!halves()) return found[0] = {p, p, T(1)}, 1;
        if (p < regular()) {
            if (p % 2 == 0) return found[0] = {p, p / 2, T(1)}, 1;
            found[0] = {p, p / 2, T(0.5)};
            found[1] = {p, p / 2 + 1, T(0.5)};
            return 2;
        }
        if (!periodic) return found[0] = {p, coarse - 1, end}, 1;
        const T parts = T(fine - regular() + 1), place = T(p - regular() + 1);
        found[0] = {p, coarse - 1, (parts - place) / parts};
        found[1] = {p, 0, place / parts};
        return 2;
    }

    // What the points after the regular ones are made of.
    std::vector<Part> tail() const {
        std::vector<Part> all;
        Part found[2];
        for (int64_t p = regular(); p < fine; ++p) all.insert(all.end(), found, found + parents(p, found));
        return all;
    }
};

// One product that P^T A P is made of: coarse entry `reach` of `at` += weight times fine entry `step` of `point`.
template <typename T> struct Term { int64_t reach, at, step, point; T weight; };

// All of one axis, or those in which points after the regular ones take part.
template <typename T> std::vector<Term<T>> terms(const Line<T>& line, bool irregular) {
    std::vector<Term<T>> all;
    typename Line<T>::Part mine[2], theirs[2];
    const int64_t n = line.fine, m = line.coarse;
    for (int64_t p = 0; p < n; ++p)
        for (int64_t s = -1; s <= 1; ++s) {
            int64_t q = p + s;
            if (line.periodic) q = (q + n) % n;
            if (q < 0 || q >= n || (irregular && std::max(p, q) < line.regular())) continue;
            const int a = line.parents(p, mine), b = line.parents(q, theirs);
            for (int i = 0; i < a; ++i)
                for (int j = 0; j < b; ++j) {
                    int64_t reach = theirs[j].coarse - mine[i].coarse + 1;
                    if (line.periodic) reach = (reach + m) % m;
                    all.push_back({reach, mine[i].coarse, s + 1, p, mine[i].weight * theirs[j].weight});
                }
        }
    return all;
}

constexpr int STEP[3] = {9, 3, 1};  // of an offset along each axis in 27 of them, whose middle is 13

// The entries of a matrix by where they reach: lines of `width` values, `stride` apart (0: all the same), or nothing.
template <typename T> struct Parts {
    struct Part { const T* data = nullptr; int64_t stride = 0; };

    int64_t shape[3];
    Part part[27];
    std::vector<std::vector<T>> kept;

    const T* line(int k, int64_t row) const { return part[k].data + part[k].stride * row; }

    T* add(int k, int64_t rows, int64_t width) {
        kept.emplace_back(rows * width, T(0));
        part[k] = {kept.back().data(), width};
        return kept.back().data();
    }

    // What the last point along an axis is of the one before, by its equation.
    T end(int axis, const bool* periodic) const {
        double own = 0, before = 0;
        int64_t i[3];
        for (i[0] = axis == 0 ? shape[0] - 1 : 0; i[0] < shape[0]; ++i[0])
            for (i[1] = axis == 1 ? shape[1] - 1 : 0; i[1] < shape[1]; ++i[1])
                for (i[2] = axis == 2 ? shape[2] - 1 : 0; i[2] < shape[2]; ++i[2])
                    for (int k = 0; k < 27; ++k) {
                        const int step = k / STEP[axis] % 3;
                        if (!part[k].data || step == 2 || !within(k, i, periodic)) continue;
                        (step == 1 ? own : before) += double(line(k, i[0] * shape[1] + i[1])[i[2]]);
                    }
        const double value = -before / own;
        return std::isfinite(value) ? T(std::min(std::max(value, 0.0), 1.0)) : T(1);
    }

    bool within(int k, const int64_t* i, const bool* periodic) const {
        for (int axis = 0; axis < 3; ++axis) {
            const int64_t other = i[axis] + k / STEP[axis] % 3 - 1;
            if (!periodic[axis] && (other < 0 || other >= shape[axis])) return false;
        }
        return true;
    }

    // P^T A P along one axis.
    Parts coarsened(int axis, const Line<T>& line) const {
        Parts next;
        std::copy(shape, shape + 3, next.shape);
        next.shape[axis] = line.coarse;
        const std::vector<Term<T>> all = terms(line, axis == 2);
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
            if (axis == 2)
                within_rows(given, result, line, all);
            else
                across_rows(axis, given, result, line, all);
        }
        return next;
    }

    void across_rows(int axis, const Part* given, T* const* result, const Line<T>& line,
                     const std::vector<Term<T>>& all) const {
        const int64_t width = shape[2], others = axis == 1 ? shape[0] : shape[1];
        for (int64_t o = 0; o < others; ++o)
            for (const Term<T>& term : all) {
                const Part& from = given[term.step];
                if (from.stride < 0) continue;
                const int64_t row = axis == 1 ? o * line.fine + term.point : term.point * others + o;
                const int64_t to = axis == 1 ? o * line.coarse + term.at : term.at * others + o;
                const T* __restrict__ x = from.data + from.stride * row;
                T* __restrict__ y = result[term.reach] + to * width;
                const T weight = term.weight;
                for (int64_t j = 0; j < width; ++j) y[j] += weight * x[j];
            }
    }

    void within_rows(const Part* given, T* const* result, const Line<T>& line, const std::vector<Term<T>>& rest) const {
        const int64_t m = line.coarse;
        const bool alone = given[0].stride < 0 && given[2].stride < 0;
        for (int64_t row = 0; row < shape[0] * shape[1]; ++row) {
            const T* in[3];
            for (int s = 0; s < 3; ++s) in[s] = given[s].data + std::max<int64_t>(given[s].stride, 0) * row;
            T *__restrict__ back = result[0] + row * m, *__restrict__ own = result[1] + row * m,
              *__restrict__ on = result[2] + row * m;
            const T *__restrict__ l = in[0], *__restrict__ c = in[1], *__restrict__ r = in[2];
            if (alone) {
                for (int64_t i = 0; i + 1 < m; ++i) {
                    own[i] = c[2 * i] + T(0.25) * (c[2 * i + 1] + (i ? c[2 * i - 1] : T(0)));
                    on[i] = T(0.5) * T(0.5) * c[2 * i + 1];
                    back[i + 1] = on[i];
                }
                own[m - 1] = c[2 * m - 2] + T(0.25) * c[2 * m - 3];
            } else {
                for (int64_t i = 0; i + 1 < m; ++i) {
                    const T quarter = T(0.25) * c[2 * i + 1];
                    on[i] = T(0.5) * (r[2 * i] + r[2 * i + 1]) + quarter;
                    back[i + 1] = T(0.5) * (l[2 * i + 2] + l[2 * i + 1]) + quarter;
                    own[i] = c[2 * i] + T(0.5) * (r[2 * i] + l[2 * i + 1]) + quarter;
                }
                own[m - 1] = c[2 * m - 2];
                for (int64_t i = 1; i < m; ++i) own[i] += T(0.5) * (l[2 * i] + r[2 * i - 1]) + T(0.25) * c[2 * i - 1];
            }
            T* out[3] = {back, own, on};
            for (const Term<T>& term : rest) out[term.reach][term.at] += term.weight * in[term.step][term.point];
        }
    }
};

// A dense matrix as the product of triangles, with rows exchanged for the largest pivot.
template <typename T> struct Dense {
    int64_t n = 0;
    std::vector<T> a;
    std::vector<int64_t> pivot;

    void factorise() {
        pivot.resize(n);
        for (int64_t k = 0; k < n; ++k) {
            int64_t p = k;
            for (int64_t i = k + 1; i < n; ++i)
                if (std::abs(a[i * n + k]) > std::abs(a[p * n + k])) p = i;
            pivot[k] = p;
            if (p != k) std::swap_ranges(&a[k * n], &a[k * n] + n, &a[p * n]);
            for (int64_t i = k + 1; i < n; ++i) {
                const T factor = a[i * n + k] /= a[k * n + k];
                for (int64_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
            }
        }
    }

    void solve(T* x) const {
        for (int64_t k = 0; k < n; ++k) std::swap(x[k], x[pivot[k]]);
        for (int64_t k = 0; k < n; ++k)
            for (int64_t j = 0; j < k; ++j) x[k] -= a[k * n + j] * x[j];
        for (int64_t k = n - 1; k >= 0; --k) {
            for (int64_t j = k + 1; j < n; ++j) x[k] -= a[k * n + j] * x[j];
            x[k] /= a[k * n + k];
        }
    }
};

// A grid of the hierarchy, which all samples share, and where its offsets are among 27.
struct Grid {
    int64_t shape[3], periodic[3];
    std::vector<int64_t> offsets;
    std::vector<int> slots;
    Layout layout;

    Grid(const int64_t* n, const int64_t* repeats, const std::vector<int64_t>& o)
        : offsets(o), layout(n, repeats, int64_t(o.size()) / 3, o.data()) {
        std::copy(n, n + 3, shape);
        std::copy(repeats, repeats + 3, periodic);
        for (size_t k = 0; k < o.size(); k += 3) slots.push_back(int(13 + 9 * o[k] + 3 * o[k + 1] + o[k + 2]));
    }

    // The next coarser grid, or the same one again where there is none.
    Grid coarser() const {
        bool reached[27] = {};
        for (int k : slots) reached[k] = true;
        reached[13] = true;
        int64_t n[3];
        for (int axis = 2; axis >= 0; --axis) {
            const Line<double> line(shape[axis], periodic[axis] != 0);
            n[axis] = line.coarse;
            if (!line.halves()) continue;
            for (int k = 0; k < 27; ++k)
                if (k / STEP[axis] % 3 == 1) {
                    const int s = STEP[axis];
                    reached[k - s] = reached[k] = reached[k + s] = reached[k - s] || reached[k] || reached[k + s];
                }
        }
        std::vector<int64_t> o;
        for (int k = 0; k < 27; ++k)
            if (reached[k] && k != 13) o.insert(o.end(), {k / 9 - 1, k / 3 % 3 - 1, k % 3 - 1});
        return Grid(n, periodic, o);
    }
};

// One sample's matrix on one grid, and the way to the next coarser grid.
template <typename T> struct Level {
    struct Way { int64_t row; T weight; };

    std::vector<T> coefficients, diagonals;  // empty on the finest grid
    const T *coefficient, *diagonal;
    bool varies = true, uneven = true;
    T end = 1;                       // of lines along the last axis
    std::vector<int64_t> begin;      // of the ways of each row
    std::vector<Way> ways;           // to coarse rows

    void connect(const Line<T>& first, const Line<T>& second) {
        typename Line<T>::Part up[2], over[2];
        for (int64_t i = 0; i < first.fine; ++i)
            for (int64_t j = 0; j < second.fine; ++j) {
                begin.push_back(int64_t(ways.size()));
                const int a = first.parents(i, up), b = second.parents(j, over);
                for (int p = 0; p < a; ++p)
                    for (int q = 0; q < b; ++q)
                        ways.push_back({up[p].coarse * second.coarse + over[q].coarse, up[p].weight * over[q].weight});
            }
        begin.push_back(int64_t(ways.size()));
    }
};

// One sample's matrix on all grids.
template <typename T> struct Hierarchy {
    std::vector<Level<T>> levels;
    Dense<T> coarsest;
    bool constant;  // the matrix maps constants to 0

    Hierarchy(const std::vector<Grid>& grids, Stencil<T> matrix) : levels(grids.size()) {
        constant = maps_constants_to_zero(matrix);
        Parts<T> parts;
        std::copy(grids[0].shape, grids[0].shape + 3, parts.shape);
        levels[0].coefficient = matrix.coefficient, levels[0].diagonal = matrix.diagonal;
        levels[0].varies = matrix.varies, levels[0].uneven = matrix.uneven;
        const int64_t width = grids[0].shape[2];
        for (size_t k = 0; k < grids[0].slots.size(); ++k)
            parts.part[grids[0].slots[k]] = given(parts, matrix.coupling(k, 0), matrix.varies, width);
        parts.part[13] = given(parts, matrix.diagonal, matrix.uneven, width);
        for (size_t depth = 0; depth + 1 < grids.size(); ++depth) {
            parts = next(grids[depth], parts, levels[depth]);
            store(grids[depth + 1], parts, levels[depth + 1]);
        }
        factorise(grids.back());
    }

    static typename Parts<T>::Part given(Parts<T>& parts, const T* value, bool varies, int64_t width) {
        if (varies) return {value, width};
        parts.kept.emplace_back(width, value[0]);
        return {parts.kept.back().data(), 0};
    }

    static bool maps_constants_to_zero(const Stencil<T>& matrix) {
        std::vector<T> ones(matrix.size(), T(1)), sums(matrix.size());
        matrix.apply(ones.data(), sums.data(), nullptr);
        T sum = 0, size = 0;
        for (T value : sums) sum = std::max(sum, std::abs(value));
        for (int64_t i = 0; i < (matrix.uneven ? matrix.size() : 1); ++i)
            size = std::max(size, std::abs(matrix.diagonal[i]));
        return sum <= 8 * std::numeric_limits<T>::epsilon() * size;
    }

    Parts<T> next(const Grid& grid, const Parts<T>& fine, Level<T>& level) const {
        const bool periodic[3] = {grid.periodic[0] != 0, grid.periodic[1] != 0, grid.periodic[2] != 0};
        std::vector<Line<T>> lines;
        for (int axis = 0; axis < 3; ++axis) lines.emplace_back(grid.shape[axis], periodic[axis]);
        Parts<T> current;
        const Parts<T>* from = &fine;
        for (int axis = 2; axis >= 0; --axis) {
            if (!lines[axis].halves()) continue;
            if (!constant && lines[axis].fine > lines[axis].regular()) lines[axis].end = from->end(axis, periodic);
            current = from->coarsened(axis, lines[axis]);
            from = &current;
        }
        level.end = lines[2].end;
        level.connect(lines[0], lines[1]);
        return current;
    }

    static void store(const Grid& grid, const Parts<T>& parts, Level<T>& level) {
        const int64_t size = grid.layout.rows * grid.layout.width;
        level.coefficients.reserve(size * grid.layout.count);
        for (int k : grid.slots) {
            const T* data = parts.part[k].data;
            level.coefficients.insert(level.coefficients.end(), data, data + size);
        }
        level.diagonals.assign(parts.part[13].data, parts.part[13].data + size);
        level.coefficient = level.coefficients.data(), level.diagonal = level.diagonals.data();
    }

    void factorise(const Grid& grid) {
        const Level<T>& level = levels.back();
        Stencil<T> matrix(grid.layout, level.coefficient, level.varies, level.diagonal, level.uneven);
        const int64_t n = coarsest.n = matrix.size();
        coarsest.a.resize(n * n);
        std::vector<T> one(n), column(n);
        T mean = 0;
        for (int64_t j = 0; j < n; ++j) {
            one.assign(n, T(0));
            one[j] = 1;
            matrix.apply(one.data(), column.data(), nullptr);
            mean += column[j] / T(n);
            for (int64_t i = 0; i < n; ++i) coarsest.a[i * n + j] = column[i];
        }
        if (constant)
            for (T& value : coarsest.a) value += mean / T(n);
        coarsest.factorise();
    }
};

}  // namespace
