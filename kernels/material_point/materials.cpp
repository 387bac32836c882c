// Deformation and stress of material points, many points at once in the lanes of vectors: what Solid.deform and
// Fluid.deform compute one after the other.

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace {

// Vectors of 64 bytes; the compiler splits them where the machine's are shorter.
template <typename T> struct Vector;
template <> struct Vector<float> {
    typedef float Values __attribute__((vector_size(64)));
    typedef int32_t Bits __attribute__((vector_size(64)));
    static constexpr int width = 16, mantissa = 23, bias = 127, terms = 5, degree = 7, sweeps = 5;
};
template <> struct Vector<double> {
    typedef double Values __attribute__((vector_size(64)));
    typedef int64_t Bits __attribute__((vector_size(64)));
    static constexpr int width = 8, mantissa = 52, bias = 1023, terms = 11, degree = 14, sweeps = 6;
};

template <typename T> using V = typename Vector<T>::Values;
template <typename T> using B = typename Vector<T>::Bits;

template <typename T> inline V<T> all(T value) { return value - V<T>{}; }
template <typename T> inline V<T> pick(B<T> mask, V<T> yes, V<T> no) { return mask ? yes : no; }

template <typename T> inline V<T> root(V<T> x) {
    V<T> y;
    for (int l = 0; l < Vector<T>::width; ++l) y[l] = std::sqrt(x[l]);
    return y;
}

template <typename T> inline bool any(B<T> mask) {
    typename std::remove_reference<decltype(mask[0])>::type found = 0;
    for (int l = 0; l < Vector<T>::width; ++l) found |= mask[l];
    return found != 0;
}

// log: the exponent, and the series of 2 artanh((m - 1) / (m + 1)) for m between sqrt(1/2) and sqrt(2).
template <typename T> inline V<T> logarithm(V<T> x) {
    using K = Vector<T>;
    const B<T> bits = reinterpret_cast<const B<T>&>(x);
    B<T> exponent = (bits >> K::mantissa) - K::bias;
    const B<T> one = (decltype(K::bias * B<T>{}[0])(K::bias) << K::mantissa) + B<T>{};
    B<T> fraction = (bits & ((decltype(bits[0] + 0)(1) << K::mantissa) - 1)) | one;
    V<T> m = reinterpret_cast<V<T>&>(fraction);
    const B<T> large = m > T(1.4142135623730951);
    m = pick<T>(large, m * T(0.5), m);
    exponent = exponent - large;  // a true lane is -1
    const V<T> s = (m - 1) / (m + 1), square = s * s;
    V<T> sum = all<T>(T(1) / (2 * K::terms - 1));
    for (int k = K::terms - 2; k >= 0; --k) sum = sum * square + T(1) / (2 * k + 1);
    V<T> y = 2 * s * sum + __builtin_convertvector(exponent, V<T>) * T(0.6931471805599453);
    y = pick<T>(x > 0, y, all<T>(T(NAN)));
    return pick<T>(x == 0, all<T>(T(-INFINITY)), y);
}

// exp: 2^k times the Taylor series of the rest, at most log(2) / 2.
template <typename T> inline V<T> exponential(V<T> x) {
    using K = Vector<T>;
    const T most = std::is_same<T, float>::value ? T(87) : T(700);
    V<T> bound = pick<T>(x > most, all<T>(most), x);
    bound = pick<T>(bound < -most, all<T>(-most), bound);
    const V<T> scaled = bound * T(1.4426950408889634);
    const V<T> half = pick<T>(scaled < 0, all<T>(T(-0.5)), all<T>(T(0.5)));
    B<T> power = __builtin_convertvector(scaled + half, B<T>);
    const V<T> whole = __builtin_convertvector(power, V<T>);
    // log(2) in two parts, the first of which times a whole number is exact.
    const T high = std::is_same<T, float>::value ? T(0.693359375) : T(0.693145751953125);
    const T low = std::is_same<T, float>::value ? T(-2.12194440054690581e-4) : T(1.42860682030941723e-6);
    const V<T> rest = (bound - whole * high) - whole * low;
    V<T> sum = all<T>(T(1));
    for (int k = K::degree; k >= 1; --k) sum = sum * rest * (T(1) / k) + 1;
    B<T> scale = (power + K::bias) << K::mantissa;
    const V<T> y = sum * reinterpret_cast<V<T>&>(scale);
    return pick<T>(x == x, y, x);
}

template <typename T> inline V<T> larger(V<T> a, V<T> b) { return pick<T>(a > b, a, b); }

template <typename T, int D> struct Matrix {
    V<T> m[D][D];
};

template <typename T, int D> inline Matrix<T, D> product(const Matrix<T, D>& a, const Matrix<T, D>& b) {
    Matrix<T, D> c;
    for (int i = 0; i < D; ++i)
        for (int j = 0; j < D; ++j) {
            c.m[i][j] = a.m[i][0] * b.m[0][j];
            for (int k = 1; k < D; ++k) c.m[i][j] += a.m[i][k] * b.m[k][j];
        }
    return c;
}

// left diag(s) right^T
template <typename T, int D>
inline Matrix<T, D> assembled(const Matrix<T, D>& left, const V<T>* s, const Matrix<T, D>& right) {
    Matrix<T, D> c;
    for (int i = 0; i < D; ++i)
        for (int j = 0; j < D; ++j) {
            c.m[i][j] = left.m[i][0] * s[0] * right.m[j][0];
            for (int k = 1; k < D; ++k) c.m[i][j] += left.m[i][k] * s[k] * right.m[j][k];
        }
    return c;
}

template <typename T, int D> inline Matrix<T, D> ball(V<T> radius) {
    Matrix<T, D> c;
    for (int i = 0; i < D; ++i)
        for (int j = 0; j < D; ++j) c.m[i][j] = i == j ? radius : V<T>{};
    return c;
}

template <typename T, int D> inline V<T> determinant(const Matrix<T, D>& a) {
    if constexpr (D == 2) return a.m[0][0] * a.m[1][1] - a.m[0][1] * a.m[1][0];
    else
        return a.m[0][0] * (a.m[1][1] * a.m[2][2] - a.m[1][2] * a.m[2][1]) -
               a.m[0][1] * (a.m[1][0] * a.m[2][2] - a.m[1][2] * a.m[2][0]) +
               a.m[0][2] * (a.m[1][0] * a.m[2][1] - a.m[1][1] * a.m[2][0]);
}

// M = left diag(s) right^T with rotations, by one-sided Jacobi; the last s has the sign of det M.
template <typename T, int D> struct SVD {
    Matrix<T, D> left, right;
    V<T> s[D];

    explicit SVD(const Matrix<T, D>& matrix) {
        V<T> a[D][D], turn[D][D];  // columns
        for (int j = 0; j < D; ++j)
            for (int i = 0; i < D; ++i) {
                a[j][i] = matrix.m[i][j];
                turn[j][i] = all<T>(T(i == j));
            }
        for (int sweep = 0; sweep < Vector<T>::sweeps; ++sweep) {
            bool more = false;
            for (int p = 0; p < D; ++p)
                for (int q = p + 1; q < D; ++q) more = rotate(a, turn, p, q) || more;
            if (!more) break;
        }
        for (int round = 0; round < D - 1; ++round)
            for (int p = 0; p + 1 < D; ++p) order(a, turn, p);
        const V<T> tiny = all<T>(std::is_same<T, float>::value ? T(1e-30) : T(1e-280));
        V<T> u[3][3] = {};
        unit(a[0], u[0], 0, tiny);
        s[0] = dot(u[0], a[0]);
        if constexpr (D == 2) {
            u[1][0] = -u[0][1];
            u[1][1] = u[0][0];
        } else {
            V<T> rest[3];
            const V<T> along = dot(u[0], a[1]);
            for (int i = 0; i < 3; ++i) rest[i] = a[1][i] - along * u[0][i];
            across(u[0], rest, u[1], tiny);
            for (int i = 0; i < 3; ++i) {
                const int j = (i + 1) % 3, k = (i + 2) % 3;
                u[2][i] = u[0][j] * u[1][k] - u[0][k] * u[1][j];
            }
        }
        for (int k = 1; k < D; ++k) s[k] = dot(u[k], a[k]);
        for (int j = 0; j < D; ++j)
            for (int i = 0; i < D; ++i) {
                left.m[i][j] = u[j][i];
                right.m[i][j] = turn[j][i];
            }
    }

  private:
    static V<T> dot(const V<T>* a, const V<T>* b) {
        V<T> sum = a[0] * b[0];
        for (int i = 1; i < D; ++i) sum += a[i] * b[i];
        return sum;
    }

    // Makes two columns orthogonal; false where all were already, to rounding.
    static bool rotate(V<T> (*a)[D], V<T> (*turn)[D], int p, int q) {
        const V<T> product = dot(a[p], a[q]), first = dot(a[p], a[p]), second = dot(a[q], a[q]);
        const T eps = std::is_same<T, float>::value ? T(1e-14) : T(1e-32);
        if (!any<T>(product * product > eps * first * second)) return false;
        const V<T> difference = second - first;
        const V<T> absolute = pick<T>(difference < 0, -difference, difference);
        const V<T> denominator = absolute + root<T>(difference * difference + 4 * product * product);
        V<T> tangent = 2 * product / pick<T>(denominator > 0, denominator, all<T>(T(1)));
        tangent = pick<T>(difference < 0, -tangent, tangent);
        const V<T> cos = 1 / root<T>(1 + tangent * tangent), sin = cos * tangent;
        for (int i = 0; i < D; ++i) {
            const V<T> ap = a[p][i], tp = turn[p][i];
            a[p][i] = cos * ap - sin * a[q][i];
            a[q][i] = sin * ap + cos * a[q][i];
            turn[p][i] = cos * tp - sin * turn[q][i];
            turn[q][i] = sin * tp + cos * turn[q][i];
        }
        return true;
    }

    // Puts the longer of two neighbouring columns first; the sign keeps the determinants.
    static void order(V<T> (*a)[D], V<T> (*turn)[D], int p) {
        const B<T> swap = dot(a[p], a[p]) < dot(a[p + 1], a[p + 1]);
        for (int i = 0; i < D; ++i) {
            const V<T> ap = a[p][i], tp = turn[p][i];
            a[p][i] = pick<T>(swap, a[p + 1][i], ap);
            a[p + 1][i] = pick<T>(swap, -ap, a[p + 1][i]);
            turn[p][i] = pick<T>(swap, turn[p + 1][i], tp);
            turn[p + 1][i] = pick<T>(swap, -tp, turn[p + 1][i]);
        }
    }

    static void unit(const V<T>* a, V<T>* u, int otherwise, V<T> tiny) {
        const V<T> length = root<T>(dot(a, a));
        const B<T> good = length > tiny;
        const V<T> inverse = 1 / pick<T>(good, length, all<T>(T(1)));
        for (int i = 0; i < D; ++i) {
            const V<T> known = pick<T>(good, a[i] * inverse, all<T>(T(i == otherwise)));
            u[i] = pick<T>(length == length, known, length);
        }
    }

    // The direction of `rest`, which is at right angles to `axis`, or any other such direction where it is zero.
    static void across(const V<T>* axis, const V<T>* rest, V<T>* u, V<T> tiny) {
        const V<T> length = root<T>(dot(rest, rest));
        const B<T> good = length > tiny, flat = axis[2] * axis[2] < T(0.81);
        const V<T> zero{};
        const V<T> other[3] = {pick<T>(flat, -axis[1], zero), pick<T>(flat, axis[0], -axis[2]), pick<T>(flat, zero, axis[1])};
        const V<T> inverse = 1 / pick<T>(good, length, root<T>(dot(other, other)));
        for (int i = 0; i < 3; ++i) u[i] = pick<T>(good, rest[i], other[i]) * inverse;
    }
};

enum Elasticity { COROTATED, NEO_HOOKEAN, GREEN, HENCKY, VOLUMETRIC };
enum Flow { ELASTIC, VON_MISES, DRUCKER_PRAGER, HERSCHEL_BULKLEY, VOLUME_ONLY, NEWTONIAN };

// mu, lambda and up to four numbers of the flow:
// von Mises: yield stress. Drucker-Prager: alpha, cohesion. Herschel-Bulkley: yield stress, viscosity, exponent.
// Newtonian: bulk modulus, gamma, viscosity, 1 if its viscous stress has no trace.
template <typename T> struct Law {
    int elasticity, flow;
    T mu, la, numbers[4];
};

// Kirchhoff stresses along the principal axes.
template <typename T, int D> inline void principal(const Law<T>& law, const V<T>* s, V<T>* tau) {
    V<T> volume = s[0];
    for (int i = 1; i < D; ++i) volume *= s[i];
    if (law.elasticity == COROTATED || law.elasticity == VOLUMETRIC) {
        const V<T> pressure = law.la * volume * (volume - 1);
        for (int i = 0; i < D; ++i) tau[i] = law.elasticity == COROTATED ? 2 * law.mu * (s[i] - 1) * s[i] + pressure : pressure;
    } else if (law.elasticity == NEO_HOOKEAN) {
        const V<T> pressure = law.la * logarithm<T>(volume);
        for (int i = 0; i < D; ++i) tau[i] = law.mu * (s[i] * s[i] - 1) + pressure;
    } else if (law.elasticity == GREEN) {
        V<T> trace = (s[0] * s[0] - 1) / 2;
        for (int i = 1; i < D; ++i) trace += (s[i] * s[i] - 1) / 2;
        for (int i = 0; i < D; ++i) tau[i] = s[i] * s[i] * (law.mu * (s[i] * s[i] - 1) + law.la * trace);
    } else {
        V<T> e[D], trace{};
        for (int i = 0; i < D; ++i) {
            e[i] = logarithm<T>(s[i]);
            trace += e[i];
        }
        for (int i = 0; i < D; ++i) tau[i] = 2 * law.mu * e[i] + law.la * trace;
    }
}

// The excess stress q with q + rate (q / viscosity)^(1 / h) = trial, by Newton's method on whichever of q and
// (q / viscosity)^(1 / h) makes the equation convex.
template <typename T> inline V<T> excess_stress(V<T> trial, V<T> rate, T viscosity, T h) {
    if (h == 1) return trial / (1 + rate / viscosity);
    const bool in_q = h <= 1;
    V<T> x = trial;
    if (!in_q) {
        const V<T> other = exponential<T>(logarithm<T>(trial / viscosity) / h);
        x = pick<T>(trial / rate < other, trial / rate, other);
    }
    for (int k = 0; k < 50; ++k) {
        V<T> value, slope;
        if (in_q) {
            const V<T> flow = exponential<T>(logarithm<T>(x / viscosity) / h);
            value = x + rate * flow - trial;
            slope = 1 + rate * flow / (h * x);
        } else {
            const V<T> stress = viscosity * exponential<T>(logarithm<T>(x) * h);
            value = stress + rate * x - trial;
            slope = h * stress / x + rate;
        }
        const V<T> step = value / slope;
        x = larger<T>(x - step, all<T>(std::is_same<T, float>::value ? T(1e-30) : T(1e-280)));
        const T eps = std::is_same<T, float>::value ? T(2.4e-7) : T(4.5e-16);
        if (!any<T>(step * step > eps * eps * x * x)) break;
    }
    return in_q ? x : viscosity * exponential<T>(logarithm<T>(x) * h);
}

// The return mapping of logarithmic strains.
template <typename T, int D> inline void project(const Law<T>& law, V<T>* e, T dt) {
    V<T> trace = e[0];
    for (int i = 1; i < D; ++i) trace += e[i];
    V<T> hat[D], square{};
    for (int i = 0; i < D; ++i) {
        hat[i] = e[i] - trace * (T(1) / D);
        square += hat[i] * hat[i];
    }
    const V<T> norm = root<T>(square), zero{};
    const V<T> inverse = 1 / pick<T>(norm > 0, norm, all<T>(T(1)));
    if (law.flow == VON_MISES) {
        const V<T> excess = larger<T>(norm - law.numbers[0] / (2 * law.mu), zero) * inverse;
        for (int i = 0; i < D; ++i) e[i] -= excess * hat[i];
    } else if (law.flow == DRUCKER_PRAGER) {
        const T cohesion = law.numbers[1];
        const V<T> shifted = trace - D * cohesion;
        const V<T> excess =
            larger<T>(norm + (D * law.la + 2 * law.mu) / (2 * law.mu) * law.numbers[0] * shifted, zero) * inverse;
        const B<T> open = shifted >= 0;
        for (int i = 0; i < D; ++i) e[i] = pick<T>(open, all<T>(cohesion), e[i] - excess * hat[i]);
    } else {
        const T bound = law.numbers[0];
        const V<T> trial = 2 * law.mu * norm;
        const B<T> flowing = trial > bound;
        if (!any<T>(flowing)) return;
        V<T> squares{};
        for (int i = 0; i < D; ++i) squares += exponential<T>(2 * e[i]);
        const V<T> rate = (2 * law.mu * dt / D) * squares;
        const V<T> beyond = pick<T>(flowing, trial - bound, all<T>(T(1)));
        const V<T> left = excess_stress<T>(beyond, rate, law.numbers[1], law.numbers[2]);
        const V<T> factor = pick<T>(flowing, (bound + left) / pick<T>(flowing, trial, all<T>(T(1))), all<T>(T(1)));
        for (int i = 0; i < D; ++i) e[i] += (factor - 1) * hat[i];
    }
}

template <typename T, int D> inline V<T> radius_of(V<T> volume) {
    if constexpr (D == 2) return root<T>(volume);
    else return exponential<T>(logarithm<T>(volume) * (T(1) / 3));
}

template <typename T, int D>
inline void deform_block(const Law<T>& law, Matrix<T, D>& F, const Matrix<T, D>& C, T dt, Matrix<T, D>& tau) {
    if (law.flow == NEWTONIAN) {
        V<T> divergence = C.m[0][0];
        for (int i = 1; i < D; ++i) divergence += C.m[i][i];
        const V<T> volume = determinant<T, D>(F) * (1 + dt * divergence);
        const V<T> power = exponential<T>(-law.numbers[1] * logarithm<T>(volume));
        const V<T> spherical = -law.numbers[0] * (power - 1) - law.numbers[3] * law.numbers[2] * T(2.0 / D) * divergence;
        F = ball<T, D>(radius_of<T, D>(volume));
        for (int i = 0; i < D; ++i)
            for (int j = 0; j < D; ++j) {
                const V<T> viscous = law.numbers[2] * (C.m[i][j] + C.m[j][i]);
                tau.m[i][j] = volume * (i == j ? spherical + viscous : viscous);
            }
        return;
    }
    const Matrix<T, D> change = product<T, D>(C, F);
    for (int i = 0; i < D; ++i)
        for (int j = 0; j < D; ++j) F.m[i][j] += dt * change.m[i][j];
    const V<T> volume = determinant<T, D>(F);
    if (law.flow == VOLUME_ONLY) {
        const V<T> radius = radius_of<T, D>(volume);
        F = ball<T, D>(radius);
        V<T> s[D], stress[D];
        for (int i = 0; i < D; ++i) s[i] = radius;
        principal<T, D>(law, s, stress);
        tau = ball<T, D>(stress[0]);
        return;
    }
    if (law.flow == ELASTIC && (law.elasticity == NEO_HOOKEAN || law.elasticity == VOLUMETRIC || law.elasticity == GREEN)) {
        Matrix<T, D> transposed;
        for (int i = 0; i < D; ++i)
            for (int j = 0; j < D; ++j) transposed.m[i][j] = F.m[j][i];
        Matrix<T, D> b = product<T, D>(F, transposed);
        if (law.elasticity == GREEN) {
            // F (2 mu E + lambda tr E) F^T = mu (b - 1) b + lambda tr E b
            V<T> trace = b.m[0][0] - 1;
            for (int i = 1; i < D; ++i) trace += b.m[i][i] - 1;
            Matrix<T, D> less = b;
            for (int i = 0; i < D; ++i) less.m[i][i] -= 1;
            const Matrix<T, D> square = product<T, D>(less, b);
            for (int i = 0; i < D; ++i)
                for (int j = 0; j < D; ++j) tau.m[i][j] = law.mu * square.m[i][j] + law.la / 2 * trace * b.m[i][j];
            return;
        }
        const bool shears = law.elasticity == NEO_HOOKEAN;
        const V<T> pressure = shears ? law.la * logarithm<T>(volume) : law.la * volume * (volume - 1);
        for (int i = 0; i < D; ++i)
            for (int j = 0; j < D; ++j) {
                tau.m[i][j] = shears ? law.mu * (i == j ? b.m[i][j] - 1 : b.m[i][j]) : V<T>{};
                if (i == j) tau.m[i][j] += pressure;
            }
        return;
    }
    const SVD<T, D> svd(F);
    V<T> s[D], stress[D];
    for (int i = 0; i < D; ++i) s[i] = svd.s[i];
    if (law.flow != ELASTIC) {
        for (int i = 0; i < D; ++i) {
            const V<T> least = larger<T>(s[i], all<T>(T(0.05)));
            s[i] = logarithm<T>(pick<T>(s[i] == s[i], least, s[i]));
        }
        project<T, D>(law, s, dt);
        for (int i = 0; i < D; ++i) s[i] = exponential<T>(s[i]);
        F = assembled<T, D>(svd.left, s, svd.right);
    }
    principal<T, D>(law, s, stress);
    tau = assembled<T, D>(svd.left, stress, svd.left);
}

template <typename T, int D>
void deform(const T* deformation, const T* gradient, const T* dt, const T* constants, int elasticity, int flow, int64_t batch,
            int64_t count, T* moved, T* stress, int threads) {
    constexpr int W = Vector<T>::width, S = D * D;
    const int64_t blocks = (count + W - 1) / W;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t block = 0; block < batch * blocks; ++block) {
        const int64_t b = block / blocks, first = (block % blocks) * W;
        const int lanes = int(count - first < W ? count - first : W);
        const T* own = constants + b * 6;
        const Law<T> law{elasticity, flow, own[0], own[1], {own[2], own[3], own[4], own[5]}};
        const int64_t start = (b * count + first) * S;
        Matrix<T, D> F, C, tau;
        for (int l = 0; l < W; ++l) {
            const int64_t at = start + (l < lanes ? l : lanes - 1) * S;
            for (int k = 0; k < S; ++k) {
                F.m[k / D][k % D][l] = deformation[at + k];
                C.m[k / D][k % D][l] = gradient[at + k];
            }
        }
        deform_block<T, D>(law, F, C, dt[b], tau);
        for (int l = 0; l < lanes; ++l)
            for (int k = 0; k < S; ++k) {
                moved[start + l * S + k] = F.m[k / D][k % D][l];
                stress[start + l * S + k] = tau.m[k / D][k % D][l];
            }
    }
}

}  // namespace

#define MATERIALS(T, D, name)                                                                                              \
    extern "C" void deform_##name(const T* deformation, const T* gradient, const T* dt, const T* constants, int elasticity, \
                                  int flow, int64_t batch, int64_t count, T* moved, T* stress,             \
                                  int threads) {                                                                           \
        deform<T, D>(deformation, gradient, dt, constants, elasticity, flow, batch, count, moved, stress, threads); \
    }

MATERIALS(float, 2, float2)
MATERIALS(float, 3, float3)
MATERIALS(double, 2, double2)
MATERIALS(double, 3, double3)
