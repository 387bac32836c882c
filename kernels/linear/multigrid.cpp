// Matrices of stencils on all grids of multigrid, after coarsening.cpp.

namespace {

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

    // The next coarser grid, of n points along each axis.
    Grid coarser(const int64_t* n) const {
        bool reached[27] = {};
        for (int k : slots) reached[k] = true;
        reached[13] = true;
        for (int axis = 2; axis >= 0; --axis) {
            if (n[axis] == shape[axis]) continue;
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

    Line line(int axis, const Grid& next) const { return Line(shape[axis], next.shape[axis], periodic[axis] != 0); }
};

// One sample's matrix on one grid, and the way to the next coarser grid.
template <typename T> struct Level {
    std::vector<T> coefficients, diagonals;  // empty on the finest grid
    const T *coefficient, *diagonal;
    bool varies = true, uneven = true;
    std::vector<T> share[3];  // of lines along each axis
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
        for (int axis = 0; axis < 3; ++axis) parts.periodic[axis] = grids[0].periodic[axis] != 0;
        levels[0].coefficient = matrix.coefficient, levels[0].diagonal = matrix.diagonal;
        levels[0].varies = matrix.varies, levels[0].uneven = matrix.uneven;
        const int64_t width = grids[0].shape[2];
        for (size_t k = 0; k < grids[0].slots.size(); ++k)
            parts.part[grids[0].slots[k]] = given(parts, matrix.coupling(k, 0), matrix.varies, width);
        parts.part[13] = given(parts, matrix.diagonal, matrix.uneven, width);
        for (size_t depth = 0; depth + 1 < grids.size(); ++depth) {
            parts = next(parts, grids[depth], grids[depth + 1], levels[depth]);
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

    Parts<T> next(const Parts<T>& fine, const Grid& grid, const Grid& coarser, Level<T>& level) const {
        Parts<T> current;
        const Parts<T>* from = &fine;
        for (int axis = 2; axis >= 0; --axis) {
            const Line line = grid.line(axis, coarser);
            if (!line.halves()) continue;
            level.share[axis] = from->shares(axis, line, constant);
            current = from->coarsened(axis, line, level.share[axis]);
            from = &current;
        }
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
